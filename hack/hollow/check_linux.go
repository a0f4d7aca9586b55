package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/controlplane"
)

// count is how many PortPressures there are. The API server says so in the first
// page of a list.
func count(ctx context.Context, p *controlplane.Plane) (int, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("PortPressureList"))
	if err := p.Client.List(ctx, list, client.Limit(1)); err != nil {
		return 0, err
	}
	n := len(list.Items)
	if list.RemainingItemCount != nil {
		n += int(*list.RemainingItemCount)
	}
	return n, nil
}

// lost reads every PortPressure back and counts those that don't have their agent's
// newest level and percentage. It is an error if one is called silent: all agents
// are well.
func lost(ctx context.Context, p *controlplane.Plane, f *fleet) (int, error) {
	list := &v1alpha1.PortPressureList{}
	if err := p.Client.List(ctx, list); err != nil {
		return 0, err
	}
	have := map[string]*v1alpha1.PortPressure{}
	for i := range list.Items {
		have[list.Items[i].Name] = &list.Items[i]
		if label, ok := list.Items[i].Labels[v1alpha1.LabelAgent]; ok {
			return 0, fmt.Errorf("PortPressure %s has the label %s=%s, and its agent is well", list.Items[i].Name, v1alpha1.LabelAgent, label)
		}
	}
	n := 0
	for _, a := range f.agents {
		got, ok := have[a.node]
		if !ok || got.Status.UsedPercent == nil || *got.Status.UsedPercent != a.percent || got.Status.Level != (v1alpha1.Thresholds{}).Level(a.percent) {
			n++
		}
	}
	return n, nil
}

// guarded makes sure that the policies are at work: the first agent must be refused
// the status of the second's node, and by a policy.
func guarded(ctx context.Context, f *fleet) error {
	patch := []byte(`[{"op": "add", "path": "/status", "value": {"level": "Normal"}}]`)
	err := f.agents[0].client.Patch(types.JSONPatchType).Resource("portpressures").Name(f.agents[1].node).
		SubResource("status").Body(patch).Do(ctx).Error()
	switch {
	case err == nil:
		return errors.New("an agent could write another node's status: the policies of config/admission are not at work")
	case !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy"):
		return fmt.Errorf("no policy refused an agent another node's status: %w", err)
	}
	return nil
}
