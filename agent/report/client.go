// Package report writes the status of the node's PortPressure, and Events about its pods.
// It is the only part of the agent that writes to the API server.
package report

import (
	"encoding/json"
	"fmt"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/rest"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/text"
)

const portPressures = "portpressures"

// NewClient returns a client for PortPressures only: a client for all types would cost the
// agent several MiB of memory.
func NewClient(config *rest.Config, userAgent string) (rest.Interface, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register the API: %w", err)
	}
	metav1.AddToGroupVersion(scheme, v1alpha1.GroupVersion)
	c := rest.CopyConfig(config)
	c.APIPath = "/apis"
	c.GroupVersion = &v1alpha1.GroupVersion
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	c.UserAgent = userAgent
	client, err := rest.RESTClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("create a client for %s: %w", c.Host, err)
	}
	return client, nil
}

// buildStatusPatch returns a patch that replaces the whole status. It needs no read, leaves
// no stale field, and makes one entry in managedFields. Every string is made printable,
// because the API server rejects others.
func buildStatusPatch(s *v1alpha1.PortPressureStatus) ([]byte, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var status any
	if err := utiljson.Unmarshal(raw, &status); err != nil {
		return nil, err
	}
	return json.Marshal([]map[string]any{{"op": "add", "path": "/status", "value": makePrintable(status)}})
}

// makePrintable makes all strings of a decoded JSON value printable.
func makePrintable(value any) any {
	switch v := value.(type) {
	case string:
		return text.MakePrintable(v, unicode.ReplacementChar)
	case []any:
		for i := range v {
			v[i] = makePrintable(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = makePrintable(v[key])
		}
	}
	return value
}
