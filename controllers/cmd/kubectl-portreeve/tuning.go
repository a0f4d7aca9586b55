package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/view"
)

// tuning is the command that says how far a NodeTuning has come.
type tuning struct {
	*app
	output
}

func (a *app) tuningCommand() *cobra.Command {
	t := &tuning{app: a}
	c := &cobra.Command{
		Use:               "tuning NAME",
		Short:             "Say how far a NodeTuning has come: its rollout, its nodes, who fails and why",
		Example:           "  kubectl portreeve tuning api-gateways",
		Args:              exactly("tuning", 1, "a NodeTuning: kubectl get nodetunings lists them"),
		ValidArgsFunction: t.complete,
		RunE:              func(c *cobra.Command, args []string) error { return t.run(c.Context(), args[0]) },
	}
	t.output = addOutput(c)
	return c
}

func (t *tuning) run(ctx context.Context, name string) error {
	p, err := t.printer()
	if err != nil {
		return err
	}
	c, err := t.cluster()
	if err != nil {
		return err
	}
	object, err := c.get(ctx, tunings, "", name)
	switch {
	case apierrors.IsNotFound(err) && !notServed(err):
		return fmt.Errorf("no NodeTuning %q: kubectl get nodetunings lists them", name)
	case err != nil:
		return err
	case p != nil:
		return p.PrintObj(object, t.Out)
	}
	nt := v1alpha1.NodeTuning{}
	if err := decode(object, &nt); err != nil {
		return err
	}
	_, ps, err := c.pressures(ctx)
	if err != nil {
		return err
	}
	options, _ := t.page(t.output, prose)
	return t.print(view.Tuning(nt, ps, options))
}

// complete offers the NodeTunings.
func (t *tuning) complete(c *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cluster, err := t.cluster()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	objects, err := cluster.list(c.Context(), tunings)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for _, o := range objects {
		names = append(names, o.GetName())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
