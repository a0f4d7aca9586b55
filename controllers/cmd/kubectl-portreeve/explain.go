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

// explain is the command that says all that is known of one node or pod.
type explain struct {
	*app
	output
}

func (a *app) explainCommand() *cobra.Command {
	e := &explain{app: a}
	c := &cobra.Command{
		Use:   "explain NODE | POD | NAMESPACE/POD",
		Short: "Say what a node or a pod is short of, who holds it, why, and what would help",
		Example: "  kubectl portreeve explain worker-1\n" +
			"  kubectl portreeve explain shop/checkout-5d9\n" +
			"  kubectl portreeve explain checkout-5d9 -n shop",
		Args:              exactly("explain", 1, "a node, or a pod as NAME or NAMESPACE/NAME: kubectl portreeve top lists them"),
		ValidArgsFunction: e.complete,
		RunE:              func(c *cobra.Command, args []string) error { return e.run(c.Context(), args[0]) },
	}
	e.output = addOutput(c)
	return c
}

func (e *explain) run(ctx context.Context, name string) error {
	ref, err := e.parse(name)
	if err != nil {
		return err
	}
	p, err := e.printer()
	if err != nil {
		return err
	}
	c, err := e.cluster()
	if err != nil {
		return err
	}
	node, page, err := e.find(ctx, c, ref)
	switch {
	case err != nil:
		return err
	case p != nil:
		return p.PrintObj(node, e.Out)
	}
	return e.print(page)
}

// parse reads a reference; namespace "" means a node, or a pod of any namespace.
func (e *explain) parse(name string) (view.PodRef, error) {
	namespace, pod, slash := strings.Cut(name, "/")
	if !slash {
		namespace, pod = *e.flags.Namespace, name
	}
	switch {
	case pod == "" || slash && namespace == "" || strings.Contains(pod, "/"):
		return view.PodRef{}, usagef("explain %q: write a node's name, or a pod's as NAME or NAMESPACE/NAME", name)
	case slash && *e.flags.Namespace != "" && *e.flags.Namespace != namespace:
		return view.PodRef{}, usagef("explain %q: -n %s names another namespace: leave one out", name, *e.flags.Namespace)
	}
	return view.PodRef{Namespace: namespace, Name: pod}, nil
}

// find returns the page, and the PortPressure that it is of: the node of that name, the
// node that reports the pod, or the one where the pod runs.
func (e *explain) find(ctx context.Context, c *cluster, ref view.PodRef) (*unstructured.Unstructured, string, error) {
	options, _ := e.page(e.output, prose)
	if ref.Namespace == "" {
		object, err := c.get(ctx, pressures, "", ref.Name)
		if err == nil {
			p := v1alpha1.PortPressure{}
			err := decode(object, &p)
			return object, view.Node(p, options), err
		}
		if !apierrors.IsNotFound(err) || notServed(err) {
			return nil, "", err
		}
	}
	objects, ps, err := c.pressures(ctx)
	if err != nil {
		return nil, "", err
	}
	switch found := view.Find(ps, ref); {
	case len(found) > 1:
		return nil, "", fmt.Errorf("%s is the name of %d pods: say which: %s", ref.Name, len(found), strings.Join(podNames(found), ", "))
	case len(found) == 1:
		return named(objects, found[0].Name), view.Node(found[0], options), nil
	}
	return e.lookUp(ctx, c, ref, objects, ps, options)
}

func podNames(found []v1alpha1.PortPressure) (names []string) {
	for i := range found {
		names = append(names, view.PodName(&found[i]))
	}
	return names
}

func named(objects []*unstructured.Unstructured, name string) *unstructured.Unstructured {
	i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetName() == name })
	if i < 0 {
		return nil
	}
	return objects[i]
}

// lookUp explains a pod that no node reports by name, from where it runs.
func (e *explain) lookUp(ctx context.Context, c *cluster, ref view.PodRef, objects []*unstructured.Unstructured, ps []v1alpha1.PortPressure, o view.Options) (*unstructured.Unstructured, string, error) {
	pod, err := e.pod(ctx, c, ref)
	if err != nil {
		return nil, "", err
	}
	ref = view.PodRef{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)}
	node := slices.IndexFunc(ps, func(p v1alpha1.PortPressure) bool { return p.Name == pod.Spec.NodeName })
	switch {
	case pod.Spec.NodeName == "":
		return nil, "", fmt.Errorf("pod %s is on no node yet: it has no ports", ref)
	case node < 0:
		return nil, "", fmt.Errorf("pod %s is on node %s, which has no PortPressure: is the controller running?", ref, pod.Spec.NodeName)
	}
	page := view.Unreported
	if pod.Spec.HostNetwork {
		page = view.HostNetwork
	}
	at := named(objects, pod.Spec.NodeName)
	if found := view.Find(ps[node:node+1], ref); len(found) == 1 { // by its UID
		return at, view.Node(found[0], o), nil
	}
	return at, page(ps[node], ref, o), nil
}

// pod reads a pod, of the kubeconfig's namespace unless ref names one.
func (e *explain) pod(ctx context.Context, c *cluster, ref view.PodRef) (pod corev1.Pod, err error) {
	namespace := ref.Namespace
	if namespace == "" {
		if namespace, _, err = e.flags.ToRawKubeConfigLoader().Namespace(); err != nil {
			return pod, err
		}
	}
	object, err := c.get(ctx, pods, namespace, ref.Name)
	switch {
	case apierrors.IsNotFound(err) && ref.Namespace == "":
		return pod, fmt.Errorf("no node %q, no node reports a pod of that name, and there is none in namespace %s: name another one with -n, or see kubectl portreeve top", ref.Name, namespace)
	case apierrors.IsNotFound(err):
		return pod, fmt.Errorf("no pod %s: kubectl portreeve top --pods lists those that nodes report", ref)
	case err != nil:
		return pod, err
	}
	err = decode(object, &pod)
	return pod, err
}

// complete offers nodes, and pods that they report.
func (e *explain) complete(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cluster, err := e.cluster()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	_, ps, err := cluster.pressures(c.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return view.Names(ps, *e.flags.Namespace), cobra.ShellCompDirectiveNoFileComp
}
