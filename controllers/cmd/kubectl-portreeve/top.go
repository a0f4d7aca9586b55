package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/view"
)

// top is the command that ranks nodes, or pods, by headroom.
type top struct {
	*app
	output
	pods, watch bool
}

func (a *app) topCommand() *cobra.Command {
	t := &top{app: a}
	c := &cobra.Command{
		Use:   "top",
		Short: "Rank nodes or pods by the ports that they have left, the fewest first",
		Example: "  kubectl portreeve top                     # nodes\n" +
			"  kubectl portreeve top --watch             # again, whenever one changes\n" +
			"  kubectl portreeve top --pods -n shop      # pods, of one namespace",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("top takes no argument, as %q: --pods is for pods, and explain for one node or pod", args[0])
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, _ []string) error { return t.run(c.Context()) },
	}
	t.output = addOutput(c)
	c.Flags().BoolVar(&t.pods, "pods", false, "Rank pods: of every namespace unless -n names one")
	c.Flags().BoolVarP(&t.watch, "watch", "w", false, "Print again whenever something changes, until interrupted")
	return c
}

func (t *top) run(ctx context.Context) error {
	p, err := t.printer()
	if err != nil {
		return err
	}
	if t.watch && p != nil {
		return usagef("-o %q: not with --watch: kubectl get portpressures --watch -o %s does that", *t.OutputFormat, *t.OutputFormat)
	}
	if t.pods && p != nil {
		return usagef("-o %q: not with --pods: the objects are those of nodes", *t.OutputFormat)
	}
	c, err := t.cluster()
	if err != nil {
		return err
	}
	if t.watch {
		return t.follow(ctx, c)
	}
	objects, ps, err := c.pressures(ctx)
	if err != nil {
		return err
	}
	view.ByHeadroom(ps)
	if p != nil {
		return p.PrintObj(asList(inOrder(objects, ps)), t.Out)
	}
	options, _ := t.page(t.output, unlimited)
	return t.print(t.draw(ps, options))
}

// draw draws ps, which are sorted.
func (t *top) draw(ps []v1alpha1.PortPressure, o view.Options) string {
	if t.pods {
		return view.Pods(ps, *t.flags.Namespace, o)
	}
	return view.Nodes(ps, o)
}

// inOrder is objects in the order of ps.
func inOrder(objects []*unstructured.Unstructured, ps []v1alpha1.PortPressure) []*unstructured.Unstructured {
	place := make(map[string]int, len(ps))
	for i := range ps {
		place[ps[i].Name] = i
	}
	slices.SortFunc(objects, func(a, b *unstructured.Unstructured) int { return place[a.GetName()] - place[b.GetName()] })
	return objects
}
