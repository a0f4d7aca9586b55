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

// countPortPressures returns the number of PortPressures, from the first page of a list.
func countPortPressures(ctx context.Context, p *controlplane.Cluster) (int, error) {
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

// countLost counts the PortPressures that don't have their agent's newest level and
// percentage. It returns an error if one has the label of an agent that doesn't report:
// all agents do.
func countLost(ctx context.Context, p *controlplane.Cluster, f *agentFleet) (int, error) {
	list := &v1alpha1.PortPressureList{}
	if err := p.Client.List(ctx, list); err != nil {
		return 0, err
	}
	have := map[string]*v1alpha1.PortPressure{}
	for i := range list.Items {
		have[list.Items[i].Name] = &list.Items[i]
		if label, ok := list.Items[i].Labels[v1alpha1.LabelAgent]; ok {
			return 0, fmt.Errorf("PortPressure %s has the label %s=%s, but its agent reports", list.Items[i].Name, v1alpha1.LabelAgent, label)
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

// checkPolicies makes sure that the admission policies apply: one must deny the first
// agent a write to the status of the second agent's node.
func checkPolicies(ctx context.Context, f *agentFleet) error {
	patch := []byte(`[{"op": "add", "path": "/status", "value": {"level": "Normal"}}]`)
	err := f.agents[0].client.Patch(types.JSONPatchType).Resource("portpressures").Name(f.agents[1].node).
		SubResource("status").Body(patch).Do(ctx).Error()
	switch {
	case err == nil:
		return errors.New("an agent could write another node's status: the policies of config/admission don't apply")
	case !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy"):
		return fmt.Errorf("no policy denied an agent a write to another node's status: %w", err)
	}
	return nil
}
