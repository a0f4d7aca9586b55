// Package report keeps the node's PortPressure up to date. It is the only part of
// the agent that writes to the API.
package report

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"portreeve.io/portreeve/api/v1alpha1"
)

const portPressures = "portpressures"

// NewClient makes a client for PortPressures alone: the clients for everything
// cost the agent several MiB of memory.
func NewClient(config *rest.Config, agent string) (rest.Interface, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register the API: %w", err)
	}
	metav1.AddToGroupVersion(scheme, v1alpha1.GroupVersion)
	c := rest.CopyConfig(config)
	c.APIPath = "/apis"
	c.GroupVersion = &v1alpha1.GroupVersion
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	c.UserAgent = agent
	client, err := rest.RESTClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", c.Host, err)
	}
	return client, nil
}

// buildStatusPatch replaces the whole status without reading it: no read, no stale
// field, and one entry in managedFields.
func buildStatusPatch(s *v1alpha1.PortPressureStatus) ([]byte, error) {
	return json.Marshal([]map[string]any{{"op": "add", "path": "/status", "value": s}})
}
