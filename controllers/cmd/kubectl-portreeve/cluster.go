package main

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/pager"

	"portreeve.io/portreeve/api/v1alpha1"
)

var (
	pressures = v1alpha1.GroupVersion.WithResource("portpressures")
	tunings   = v1alpha1.GroupVersion.WithResource("nodetunings")
	pods      = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
)

// cluster reads objects as they are, so that -o json shows all of them, whatever
// version wrote them, and decodes what it shows itself.
type cluster struct {
	dynamic.Interface
	health *health
}

func (a *app) cluster() (*cluster, error) {
	config, err := a.flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("%w: set KUBECONFIG, --kubeconfig or --context", err)
	}
	config.WarningHandler = rest.NewWarningWriter(a.ErrOut, rest.WarningWriterOptions{Deduplicate: true})
	config.UserAgent = "kubectl-portreeve/" + version
	h := newHealth()
	config.Wrap(h.wrap)
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &cluster{client, h}, nil
}

// list reads all objects of a resource, 500 at a time.
func (c *cluster) list(ctx context.Context, r schema.GroupVersionResource) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	p := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return c.Resource(r).List(ctx, o)
	})
	err := p.EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		if u, ok := o.(*unstructured.Unstructured); ok {
			all = append(all, u)
		}
		return nil
	})
	return all, remedy(err, r.Resource)
}

func (c *cluster) get(ctx context.Context, r schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	o, err := c.Resource(r).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	return o, remedy(err, r.Resource)
}

// pressures lists all PortPressures, as they are and decoded.
func (c *cluster) pressures(ctx context.Context) (objects []*unstructured.Unstructured, ps []v1alpha1.PortPressure, err error) {
	if objects, err = c.list(ctx, pressures); err != nil {
		return nil, nil, err
	}
	ps, err = decodeAll(objects)
	return objects, ps, err
}

func decodeAll(objects []*unstructured.Unstructured) ([]v1alpha1.PortPressure, error) {
	ps := make([]v1alpha1.PortPressure, len(objects))
	for i, o := range objects {
		if err := decode(o, &ps[i]); err != nil {
			return nil, err
		}
	}
	return ps, nil
}

func decode(o *unstructured.Unstructured, into any) error {
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, into); err != nil {
		return fmt.Errorf("%s %s: %w: is this plugin (%s) older than the cluster's Portreeve?", o.GetKind(), o.GetName(), err, version)
	}
	return nil
}
