package nodetuning

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/resolve"
	"portreeve.io/portreeve/controllers/portpressure"
	"portreeve.io/portreeve/internal/settings"
)

// Tuning is an empty NodeTuning as the cache has them: without a Go type, so that one
// that can't be decoded spoils no other.
func Tuning() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("NodeTuning"))
	return u
}

// gather reads the cache. What it returns shares memory with it.
func (r *Reconciler) gather(ctx context.Context) (c cluster, err error) {
	c.untuned = !r.served.Load()
	if !c.untuned {
		if c.tunings, err = r.readTunings(ctx); err != nil {
			return c, err
		}
	}
	c.nodes, err = r.readNodes(ctx)
	return c, err
}

func (r *Reconciler) readTunings(ctx context.Context) ([]tuning, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("NodeTuningList"))
	if err := r.cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	var tunings []tuning
	for i := range list.Items {
		tunings = append(tunings, decode(r.tunings.newest(&list.Items[i])))
	}
	r.tunings.keep(func(name string) bool {
		return slices.ContainsFunc(tunings, func(t tuning) bool { return t.Name == name })
	})
	slices.SortFunc(tunings, func(a, b tuning) int { return cmp.Compare(a.Name, b.Name) })
	return tunings, nil
}

// decode decodes a NodeTuning, or as much of it as can be.
func decode(u *unstructured.Unstructured) tuning {
	t := tuning{object: u}
	if err := convert(u.Object, &t.NodeTuning); err != nil {
		t.problem = fmt.Sprintf("it can't be decoded, and what stands is held: %v", err)
		t.NodeTuning = v1alpha1.NodeTuning{}
		_ = convert(u.Object["metadata"], &t.ObjectMeta) // the API server has checked it
		if convert(u.Object["status"], &t.Status) != nil {
			t.Status = v1alpha1.NodeTuningStatus{}
		}
	}
	return t
}

// convert goes by way of JSON, which says where a value doesn't fit its type.
func convert(from, into any) error {
	data, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// readNodes are the nodes that have a PortPressure, by name: those without one are
// about to get it.
func (r *Reconciler) readNodes(ctx context.Context) ([]*node, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NodeList"))
	if err := r.cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	pressures, err := r.readPressures(ctx)
	if err != nil {
		return nil, err
	}
	nodes := make([]*node, 0, len(list.Items))
	for i := range list.Items {
		n := &list.Items[i]
		if p := pressures[n.Name]; p != nil && p.DeletionTimestamp.IsZero() && n.DeletionTimestamp.IsZero() {
			nodes = append(nodes, newNode(n, p))
		}
	}
	slices.SortFunc(nodes, func(a, b *node) int { return cmp.Compare(a.Name, b.Name) })
	return nodes, nil
}

func (r *Reconciler) readPressures(ctx context.Context) (map[string]*v1alpha1.PortPressure, error) {
	list := &v1alpha1.PortPressureList{}
	if err := r.cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	pressures := make(map[string]*v1alpha1.PortPressure, len(list.Items))
	for i := range list.Items {
		pressures[list.Items[i].Name] = r.pressures.newest(&list.Items[i])
	}
	r.pressures.keep(func(name string) bool { return pressures[name] != nil })
	return pressures, nil
}

func newNode(n *metav1.PartialObjectMetadata, p *v1alpha1.PortPressure) *node {
	return &node{
		pressure:   p,
		Node:       resolve.Node{Name: n.Name, OS: settings.OS(n.Labels[corev1.LabelOSStable]), Labels: n.Labels},
		spec:       p.Spec,
		generation: p.Generation,
		agent:      p.Labels[v1alpha1.LabelAgent],
		released:   p.Annotations[v1alpha1.AnnotationRelease] != "",
		status:     shift(&p.Status, portpressure.ComputeClockSkew(p)),
	}
}

// shift corrects the times that a rollout goes by.
func shift(s *v1alpha1.PortPressureStatus, by time.Duration) *v1alpha1.PortPressureStatus {
	if by == 0 {
		return s
	}
	s = s.DeepCopy()
	move := func(t *metav1.Time) {
		if t != nil && !t.IsZero() {
			t.Time = t.Add(by)
		}
	}
	for i := range s.Settings {
		move(s.Settings[i].LastTransitionTime)
	}
	if s.OmittedSettings != nil {
		move(s.OmittedSettings.LastTransitionTime)
	}
	for i := range s.Conditions {
		move(&s.Conditions[i].LastTransitionTime)
	}
	for i := range s.Failures {
		move(&s.Failures[i].LastAt)
	}
	if s.LastPressure != nil {
		move(&s.LastPressure.From)
	}
	return s
}
