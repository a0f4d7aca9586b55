package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/view"
)

// explainCommand explains the port usage of one node or pod.
type explainCommand struct {
	*app
	outputFlags
}

func (a *app) newExplainCommand() *cobra.Command {
	e := &explainCommand{app: a}
	c := &cobra.Command{
		Use:   "explain NODE | POD | NAMESPACE/POD",
		Short: "Explain the port usage of a node or pod: its users, its cause, and what would help",
		Example: "  kubectl portreeve explain worker-1\n" +
			"  kubectl portreeve explain shop/checkout-5d9\n" +
			"  kubectl portreeve explain checkout-5d9 -n shop",
		Args: requireArgs("explain", 1,
			"a node, or a pod as NAME or NAMESPACE/NAME: kubectl portreeve top lists them"),
		ValidArgsFunction: e.completeNames,
		RunE:              func(c *cobra.Command, args []string) error { return e.run(c.Context(), args[0]) },
	}
	e.outputFlags = addOutputFlags(c)
	return c
}

func (e *explainCommand) run(ctx context.Context, name string) error {
	ref, err := e.parseRef("explain", name)
	if err != nil {
		return err
	}
	p, err := e.newPrinter()
	if err != nil {
		return err
	}
	c, err := e.newClusterClient()
	if err != nil {
		return err
	}
	node, explanation, err := e.explain(ctx, c, ref)
	switch {
	case err != nil:
		return err
	case p != nil:
		return p.PrintObj(node, e.Out)
	}
	return e.printText(explanation)
}

// parseRef parses a reference. An empty namespace means a node, or a pod of any
// namespace.
func (a *app) parseRef(command, name string) (view.PodRef, error) {
	namespace, pod, hasSlash := strings.Cut(name, "/")
	if !hasSlash {
		namespace, pod = *a.flags.Namespace, name
	}
	switch {
	case pod == "" || hasSlash && namespace == "" || strings.Contains(pod, "/"):
		return view.PodRef{}, usagef("%s %q: name a node, or a pod as NAME or NAMESPACE/NAME", command, name)
	case hasSlash && *a.flags.Namespace != "" && *a.flags.Namespace != namespace:
		return view.PodRef{}, usagef("%s %q: -n %s names another namespace: omit one of them", command, name, *a.flags.Namespace)
	}
	return view.PodRef{Namespace: namespace, Name: pod}, nil
}

// explain returns the explanation of ref, and the PortPressure it is based on: the node
// of that name, the node that reports the pod, or the node that runs the pod.
func (e *explainCommand) explain(
	ctx context.Context, c *clusterClient, ref view.PodRef,
) (*unstructured.Unstructured, string, error) {
	options, _ := e.detectOptions(e.outputFlags, proseWidth)
	if ref.Namespace == "" {
		object, err := c.getObject(ctx, pressureResource, "", ref.Name)
		if err == nil {
			p := v1alpha1.PortPressure{}
			err := decodeObject(object, &p)
			return object, view.FormatNode(p, options), err
		}
		if !apierrors.IsNotFound(err) || isNotServed(err) {
			return nil, "", err
		}
	}
	objects, ps, err := c.listPressures(ctx)
	if err != nil {
		return nil, "", err
	}
	switch found := view.FindPods(ps, ref); {
	case len(found) > 1:
		return nil, "", fmt.Errorf("%s is the name of %d pods; choose one: %s",
			ref.Name, len(found), strings.Join(podNames(found), ", "))
	case len(found) == 1:
		return findObject(objects, found[0].Name), view.FormatNode(found[0], options), nil
	}
	return e.explainUnreportedPod(ctx, c, ref, objects, ps, options)
}

func podNames(found []v1alpha1.PortPressure) (names []string) {
	for i := range found {
		names = append(names, view.PodName(&found[i]))
	}
	return names
}

func findObject(objects []*unstructured.Unstructured, name string) *unstructured.Unstructured {
	i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetName() == name })
	if i < 0 {
		return nil
	}
	return objects[i]
}

// explainUnreportedPod explains a pod that no node reports by name, from the node that
// runs it.
func (e *explainCommand) explainUnreportedPod(
	ctx context.Context, c *clusterClient, ref view.PodRef,
	objects []*unstructured.Unstructured, ps []v1alpha1.PortPressure, o view.Options,
) (*unstructured.Unstructured, string, error) {
	pod, err := e.getPod(ctx, c, ref)
	if err != nil {
		return nil, "", err
	}
	ref = view.PodRef{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)}
	node := slices.IndexFunc(ps, func(p v1alpha1.PortPressure) bool { return p.Name == pod.Spec.NodeName })
	switch {
	case pod.Spec.NodeName == "":
		return nil, "", fmt.Errorf("pod %s is not scheduled to a node yet, so it uses no ports", ref)
	case node < 0:
		return nil, "", fmt.Errorf("pod %s is on node %s, which has no PortPressure: "+
			"check that portreeve-controller is running", ref, pod.Spec.NodeName)
	}
	format := view.FormatUnreportedPod
	if pod.Spec.HostNetwork {
		format = view.FormatHostNetworkPod
	}
	object := findObject(objects, pod.Spec.NodeName)
	if found := view.FindPods(ps[node:node+1], ref); len(found) == 1 { // by its UID
		return object, view.FormatNode(found[0], o), nil
	}
	return object, format(ps[node], ref, o), nil
}

// getPod reads a pod, from the kubeconfig's namespace unless ref has one.
func (a *app) getPod(ctx context.Context, c *clusterClient, ref view.PodRef) (pod corev1.Pod, err error) {
	namespace := ref.Namespace
	if namespace == "" {
		if namespace, _, err = a.flags.ToRawKubeConfigLoader().Namespace(); err != nil {
			return pod, err
		}
	}
	object, err := c.getObject(ctx, podResource, namespace, ref.Name)
	switch {
	case apierrors.IsNotFound(err) && ref.Namespace == "":
		return pod, fmt.Errorf("no node %q, no reported pod of that name, and no such pod in namespace %s: "+
			"choose another namespace with -n, or see kubectl portreeve top", ref.Name, namespace)
	case apierrors.IsNotFound(err):
		return pod, fmt.Errorf("no pod %s: kubectl portreeve top --pods lists the reported pods", ref)
	case err != nil:
		return pod, err
	}
	err = decodeObject(object, &pod)
	return pod, err
}

// completeNames completes the names of nodes and of reported pods.
func (a *app) completeNames(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cluster, err := a.newClusterClient()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	_, ps, err := cluster.listPressures(c.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return view.ListNames(ps, *a.flags.Namespace), cobra.ShellCompDirectiveNoFileComp
}
