package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/view"
)

// tuningCommand shows the progress of a NodeTuning.
type tuningCommand struct {
	*app
	outputFlags
}

func (a *app) newTuningCommand() *cobra.Command {
	t := &tuningCommand{app: a}
	c := &cobra.Command{
		Use:               "tuning NAME",
		Short:             "Show the progress of a NodeTuning: its rollout, its nodes, failures and their reasons",
		Example:           "  kubectl portreeve tuning api-gateways",
		Args:              requireArgs("tuning", 1, "a NodeTuning: kubectl get nodetunings lists them"),
		ValidArgsFunction: t.completeNames,
		RunE:              func(c *cobra.Command, args []string) error { return t.run(c.Context(), args[0]) },
	}
	t.outputFlags = addOutputFlags(c)
	return c
}

func (t *tuningCommand) run(ctx context.Context, name string) error {
	p, err := t.newPrinter()
	if err != nil {
		return err
	}
	c, err := t.newClusterClient()
	if err != nil {
		return err
	}
	object, err := c.getObject(ctx, tuningResource, "", name)
	switch {
	case apierrors.IsNotFound(err) && !isNotServed(err):
		return fmt.Errorf("no NodeTuning %q: kubectl get nodetunings lists them", name)
	case err != nil:
		return err
	case p != nil:
		return p.PrintObj(object, t.Out)
	}
	nt := v1alpha1.NodeTuning{}
	if err := decodeObject(object, &nt); err != nil {
		return err
	}
	_, ps, err := c.listPressures(ctx)
	if err != nil {
		return err
	}
	options, _ := t.detectOptions(t.outputFlags, proseWidth)
	return t.printText(view.FormatTuning(nt, ps, options))
}

// completeNames completes the names of NodeTunings.
func (t *tuningCommand) completeNames(
	c *cobra.Command, args []string, _ string,
) (names []string, _ cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cluster, err := t.newClusterClient()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	objects, err := cluster.listObjects(c.Context(), tuningResource)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for _, o := range objects {
		names = append(names, o.GetName())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
