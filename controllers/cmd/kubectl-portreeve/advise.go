package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/printers"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/advise"
	"portreeve.io/portreeve/controllers/internal/view"
)

// adviseCommand prints the NodeTunings that fit what was measured.
type adviseCommand struct {
	*app
	output       string
	all, enforce bool
}

const adviseHelp = `Print the NodeTuning that fits what was measured on a node, in a pod, or on all nodes, with
the reasons, the expected headroom and the reserved ports in comments. Where no setting
helps, the comments name the application to fix, and how. It changes nothing.

The NodeTuning has mode DryRun: applied, it only makes nodes report what they would write.
With permission to list services and pods, it reserves their ports and selects pods by
their labels.`

const adviseExample = `  kubectl portreeve advise worker-1
  kubectl portreeve advise worker-1 | kubectl apply -f -            # preview
  kubectl portreeve advise worker-1 --enforce | kubectl apply -f -  # apply
  kubectl portreeve advise shop/checkout-5d9
  kubectl portreeve advise --all`

func (a *app) newAdviseCommand() *cobra.Command {
	d := &adviseCommand{app: a}
	c := &cobra.Command{
		Use:     "advise NODE | POD | NAMESPACE/POD | --all",
		Short:   "Print the NodeTuning that fits a node or pod, or which application to fix and how",
		Long:    adviseHelp,
		Example: adviseExample,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case d.all && len(args) > 0:
				return usagef("advise --all takes no argument, but got %q: omit one of the two", args[0])
			case !d.all && len(args) != 1:
				return usagef("advise: name one node or pod, or use --all: kubectl portreeve top lists them")
			}
			return nil
		},
		ValidArgsFunction: a.completeNames,
		RunE:              func(c *cobra.Command, args []string) error { return d.run(c.Context(), args) },
	}
	c.Flags().StringVarP(&d.output, "output", "o", "yaml", "Output format: yaml, with comments, or json")
	c.Flags().BoolVar(&d.all, "all", false, "Advise on every node that is not healthy")
	c.Flags().BoolVar(&d.enforce, "enforce", false, "Print NodeTunings that write the settings (mode Enforce)")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"yaml", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (d *adviseCommand) run(ctx context.Context, args []string) error {
	if d.output != "yaml" && d.output != "json" {
		return usagef("-o %q: must be yaml or json", d.output)
	}
	var ref view.PodRef
	if !d.all {
		parsed, err := d.parseRef("advise", args[0])
		if err != nil {
			return err
		}
		ref = parsed
	}
	c, err := d.newClusterClient()
	if err != nil {
		return err
	}
	ps, err := d.selectPressures(ctx, c, ref)
	if err != nil {
		return err
	}
	facts := nodeFacts{app: d.app, cluster: c}
	var all []advise.Advice
	for i := range ps {
		all = append(all, advise.ForNode(facts.readNode(ctx, &ps[i]))...)
	}
	if len(all) == 0 {
		return d.printText("# Every node is healthy: its ports suffice, and nothing needs to be changed.\n")
	}
	return d.printProposals(advise.GroupAdvice(all))
}

// selectPressures returns the PortPressures of the nodes that are not healthy, or that of
// the node or pod of ref.
func (d *adviseCommand) selectPressures(
	ctx context.Context, c *clusterClient, ref view.PodRef,
) ([]v1alpha1.PortPressure, error) {
	if !d.all && ref.Namespace == "" {
		object, err := c.getObject(ctx, pressureResource, "", ref.Name)
		if err == nil {
			p := v1alpha1.PortPressure{}
			err := decodeObject(object, &p)
			return []v1alpha1.PortPressure{p}, err
		}
		if !apierrors.IsNotFound(err) || isNotServed(err) {
			return nil, err
		}
	}
	_, ps, err := c.listPressures(ctx)
	if err != nil || d.all {
		return slices.DeleteFunc(ps, func(p v1alpha1.PortPressure) bool { return advise.IsHealthy(&p) }), err
	}
	switch found := view.FindPods(ps, ref); {
	case len(found) > 1:
		return nil, fmt.Errorf("%s is the name of %d pods; choose one: %s",
			ref.Name, len(found), strings.Join(podNames(found), ", "))
	case len(found) == 1:
		return found, nil
	}
	return d.selectUnreportedPod(ctx, c, ref, ps)
}

// selectUnreportedPod returns the PortPressure of the node whose ports the pod uses, or an
// error that says why there is nothing to advise about the pod.
func (d *adviseCommand) selectUnreportedPod(
	ctx context.Context, c *clusterClient, ref view.PodRef, ps []v1alpha1.PortPressure,
) ([]v1alpha1.PortPressure, error) {
	pod, err := d.getPod(ctx, c, ref)
	if err != nil {
		return nil, err
	}
	node := slices.IndexFunc(ps, func(p v1alpha1.PortPressure) bool { return p.Name == pod.Spec.NodeName })
	name := pod.Namespace + "/" + pod.Name
	if node < 0 {
		return nil, fmt.Errorf("pod %s is on node %q, which has no PortPressure: check that portreeve-controller is running", name, pod.Spec.NodeName)
	}
	if pod.Spec.HostNetwork {
		return ps[node : node+1], nil
	}
	byUID := view.PodRef{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)}
	if found := view.FindPods(ps[node:node+1], byUID); len(found) == 1 {
		return found, nil
	}
	return nil, fmt.Errorf("pod %s is not among the networks under pressure that node %s reports: its ports suffice; "+
		"kubectl portreeve advise %s is about the node", name, pod.Spec.NodeName, pod.Spec.NodeName)
}

// printProposals prints the proposals as documents of one file.
func (d *adviseCommand) printProposals(proposals []advise.Proposal) error {
	var documents []string
	for i := range proposals {
		p := &proposals[i]
		if p.Tuning != nil && d.enforce {
			p.Tuning.Spec.Mode = v1alpha1.ModeEnforce
		}
		if d.output == "json" {
			if p.Tuning == nil {
				continue
			}
			var b strings.Builder
			if err := (&printers.JSONPrinter{}).PrintObj(p.Tuning, &b); err != nil {
				return err
			}
			documents = append(documents, b.String())
			continue
		}
		text, err := p.Format()
		if err != nil {
			return err
		}
		documents = append(documents, text)
	}
	separator := map[string]string{"yaml": "---\n", "json": ""}[d.output]
	return d.printText(strings.Join(documents, separator))
}
