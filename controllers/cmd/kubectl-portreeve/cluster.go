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
	pressureResource = v1alpha1.GroupVersion.WithResource("portpressures")
	tuningResource   = v1alpha1.GroupVersion.WithResource("nodetunings")
	podResource      = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	serviceResource  = schema.GroupVersionResource{Version: "v1", Resource: "services"}
)

// clusterClient reads unstructured objects, so that -o json prints every field, whatever
// version wrote it. It decodes only what tables need.
type clusterClient struct {
	dynamic.Interface
	health *apiHealth
}

func (a *app) newClusterClient() (*clusterClient, error) {
	config, err := a.flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("%w: set KUBECONFIG, --kubeconfig or --context", err)
	}
	config.WarningHandler = rest.NewWarningWriter(a.ErrOut, rest.WarningWriterOptions{Deduplicate: true})
	config.UserAgent = "kubectl-portreeve/" + version
	h := newAPIHealth()
	config.Wrap(h.wrapTransport)
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &clusterClient{client, h}, nil
}

// listObjects reads all objects of a resource, 500 at a time.
func (c *clusterClient) listObjects(
	ctx context.Context, r schema.GroupVersionResource,
) ([]*unstructured.Unstructured, error) {
	return c.listSelected(ctx, r, "")
}

// listSelected reads the objects that match a field selector, 500 at a time.
func (c *clusterClient) listSelected(
	ctx context.Context, r schema.GroupVersionResource, fields string,
) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	p := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return c.Resource(r).List(ctx, o)
	})
	err := p.EachListItem(ctx, metav1.ListOptions{FieldSelector: fields}, func(o runtime.Object) error {
		if u, ok := o.(*unstructured.Unstructured); ok {
			all = append(all, u)
		}
		return nil
	})
	return all, addRemedy(err, r.Resource)
}

func (c *clusterClient) getObject(
	ctx context.Context, r schema.GroupVersionResource, namespace, name string,
) (*unstructured.Unstructured, error) {
	o, err := c.Resource(r).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	return o, addRemedy(err, r.Resource)
}

// listPressures returns all PortPressures, unstructured and decoded.
func (c *clusterClient) listPressures(
	ctx context.Context,
) ([]*unstructured.Unstructured, []v1alpha1.PortPressure, error) {
	objects, err := c.listObjects(ctx, pressureResource)
	if err != nil {
		return nil, nil, err
	}
	ps, err := decodePressures(objects)
	return objects, ps, err
}

func decodePressures(objects []*unstructured.Unstructured) ([]v1alpha1.PortPressure, error) {
	ps := make([]v1alpha1.PortPressure, len(objects))
	for i, o := range objects {
		if err := decodeObject(o, &ps[i]); err != nil {
			return nil, err
		}
	}
	return ps, nil
}

func decodeObject(o *unstructured.Unstructured, into any) error {
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, into); err != nil {
		return fmt.Errorf("%s %s: %w: this plugin (%s) may be older than the cluster's Portreeve",
			o.GetKind(), o.GetName(), err, version)
	}
	return nil
}
