package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/view"
)

// topCommand ranks nodes or pods by headroom.
type topCommand struct {
	*app
	outputFlags
	pods, watch bool
}

func (a *app) newTopCommand() *cobra.Command {
	t := &topCommand{app: a}
	c := &cobra.Command{
		Use:   "top",
		Short: "Rank nodes or pods by their remaining ports, the fewest first",
		Example: "  kubectl portreeve top                     # nodes\n" +
			"  kubectl portreeve top --watch             # update on every change\n" +
			"  kubectl portreeve top --pods -n shop      # pods of one namespace",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("top takes no argument, but got %q: use --pods for pods, or explain for one node or pod", args[0])
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, _ []string) error { return t.run(c.Context()) },
	}
	t.outputFlags = addOutputFlags(c)
	c.Flags().BoolVar(&t.pods, "pods", false, "Rank pods, in all namespaces unless -n is set")
	c.Flags().BoolVarP(&t.watch, "watch", "w", false, "Print again on every change, until interrupted")
	return c
}

func (t *topCommand) run(ctx context.Context) error {
	p, err := t.newPrinter()
	if err != nil {
		return err
	}
	if t.watch && p != nil {
		return usagef("-o %q can't be combined with --watch: use kubectl get portpressures --watch -o %s",
			*t.OutputFormat, *t.OutputFormat)
	}
	if t.pods && p != nil {
		return usagef("-o %q can't be combined with --pods: the objects are those of nodes", *t.OutputFormat)
	}
	c, err := t.newClusterClient()
	if err != nil {
		return err
	}
	if t.watch {
		return t.watchPressures(ctx, c)
	}
	objects, ps, err := c.listPressures(ctx)
	if err != nil {
		return err
	}
	view.SortByHeadroom(ps)
	if p != nil {
		return p.PrintObj(makeList(sortObjects(objects, ps)), t.Out)
	}
	options, _ := t.detectOptions(t.outputFlags, unlimitedWidth)
	return t.printText(t.formatTable(ps, options))
}

// formatTable returns the table of ps, which must be sorted.
func (t *topCommand) formatTable(ps []v1alpha1.PortPressure, o view.Options) string {
	if t.pods {
		return view.FormatPods(ps, *t.flags.Namespace, o)
	}
	return view.FormatNodes(ps, o)
}

// sortObjects returns objects in the order of ps.
func sortObjects(objects []*unstructured.Unstructured, ps []v1alpha1.PortPressure) []*unstructured.Unstructured {
	position := make(map[string]int, len(ps))
	for i := range ps {
		position[ps[i].Name] = i
	}
	slices.SortFunc(objects, func(a, b *unstructured.Unstructured) int {
		return position[a.GetName()] - position[b.GetName()]
	})
	return objects
}
