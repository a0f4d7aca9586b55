package nodetuning

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/pace"
	"portreeve.io/portreeve/controllers/internal/resolve"
	"portreeve.io/portreeve/controllers/portpressure"
	"portreeve.io/portreeve/internal/settings"
)

// NewTuning returns an empty NodeTuning of the type in the cache, which is unstructured so
// that one that cannot be decoded does not affect the others.
func NewTuning() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("NodeTuning"))
	return u
}

// gatherState reads the cache. The result shares memory with it.
func (r *Reconciler) gatherState(ctx context.Context) (c clusterState, err error) {
	c.kindMissing = !r.kindServed.Load()
	if !c.kindMissing {
		if c.tunings, err = r.readTunings(ctx); err != nil {
			return c, err
		}
		if c.kindTerminating, err = r.isKindTerminating(ctx, c.tunings); err != nil {
			return c, err
		}
	}
	if c.revisions, err = r.readRevisions(ctx); err != nil {
		return c, err
	}
	if c.pace, err = r.readPace(ctx); err != nil {
		return c, err
	}
	if c.nodes, c.unregistered, err = r.readNodes(ctx); err != nil {
		return c, err
	}
	if c.pace.PauseWhenNodesNotReady != nil {
		c.notReady, err = r.notReadyCounter.countNodes(ctx, r.clock.Now())
	}
	return c, err
}

// readRevisions returns the kept specs by the UID of their NodeTuning.
func (r *Reconciler) readRevisions(ctx context.Context) (map[types.UID][]revision, error) {
	list := &appsv1.ControllerRevisionList{}
	err := r.cache.List(ctx, list, client.InNamespace(r.config.Namespace), client.UnsafeDisableDeepCopy)
	return decodeRevisions(list.Items), err
}

// readPace reads the ConfigMap that limits all NodeTunings together. Without it, nothing is
// configured.
func (r *Reconciler) readPace(ctx context.Context) (pace.Config, error) {
	config := &corev1.ConfigMap{}
	err := r.cache.Get(ctx, types.NamespacedName{Namespace: r.config.Namespace, Name: v1alpha1.PaceConfigMap}, config)
	return pace.Parse(config.Data), client.IgnoreNotFound(err)
}

// readTunings returns all NodeTunings, sorted by name.
func (r *Reconciler) readTunings(ctx context.Context) ([]tuning, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("NodeTuningList"))
	if err := r.cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	var tunings []tuning
	for i := range list.Items {
		tunings = append(tunings, decodeTuning(r.tuningWrites.pickNewest(&list.Items[i])))
	}
	r.tuningWrites.forgetMissing(func(name string) bool {
		return slices.ContainsFunc(tunings, func(t tuning) bool { return t.Name == name })
	})
	slices.SortFunc(tunings, func(a, b tuning) int { return cmp.Compare(a.Name, b.Name) })
	return tunings, nil
}

// decodeTuning decodes a NodeTuning, or at least its metadata.
func decodeTuning(u *unstructured.Unstructured) tuning {
	t := tuning{object: u}
	if err := convertViaJSON(u.Object, &t.NodeTuning); err != nil {
		t.problem = fmt.Sprintf("cannot be decoded, so nodes keep their current settings: %v", err)
		t.NodeTuning = v1alpha1.NodeTuning{}
		_ = convertViaJSON(u.Object["metadata"], &t.ObjectMeta) // the API server has checked it
		if convertViaJSON(u.Object["status"], &t.Status) != nil {
			t.Status = v1alpha1.NodeTuningStatus{}
		}
	}
	return t
}

// convertViaJSON converts from into the type of into, by way of JSON. Its errors name the
// field with the wrong type.
func convertViaJSON(from, into any) error {
	data, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// readNodes returns the nodes that have a PortPressure, sorted by name, and those that are
// about to get one.
func (r *Reconciler) readNodes(ctx context.Context) (nodes []*nodeState, unregistered []resolve.Node, err error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NodeList"))
	if err := r.cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, nil, err
	}
	pressures, err := r.readPressures(ctx)
	if err != nil {
		return nil, nil, err
	}
	nodes = make([]*nodeState, 0, len(list.Items))
	for i := range list.Items {
		n := &list.Items[i]
		if !n.DeletionTimestamp.IsZero() {
			continue
		}
		if p := pressures[n.Name]; p != nil && p.DeletionTimestamp.IsZero() {
			nodes = append(nodes, newNodeState(n, p))
		} else {
			unregistered = append(unregistered, resolve.Node{Name: n.Name, OS: findOS(n), Labels: n.Labels})
		}
	}
	slices.SortFunc(nodes, func(a, b *nodeState) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(unregistered, func(a, b resolve.Node) int { return cmp.Compare(a.Name, b.Name) })
	return nodes, unregistered, nil
}

func findOS(n *metav1.PartialObjectMetadata) settings.OS {
	return settings.OS(n.Labels[corev1.LabelOSStable])
}

// readPressures returns all PortPressures by name.
func (r *Reconciler) readPressures(ctx context.Context) (map[string]*v1alpha1.PortPressure, error) {
	list := &v1alpha1.PortPressureList{}
	if err := r.cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	pressures := make(map[string]*v1alpha1.PortPressure, len(list.Items))
	for i := range list.Items {
		pressures[list.Items[i].Name] = r.pressureWrites.pickNewest(&list.Items[i])
	}
	r.pressureWrites.forgetMissing(func(name string) bool { return pressures[name] != nil })
	return pressures, nil
}

func newNodeState(n *metav1.PartialObjectMetadata, p *v1alpha1.PortPressure) *nodeState {
	return &nodeState{
		pressure:         p,
		Node:             resolve.Node{Name: n.Name, OS: findOS(n), Labels: n.Labels},
		spec:             p.Spec,
		generation:       p.Generation,
		createdAt:        p.CreationTimestamp.Time,
		agentLabel:       p.Labels[v1alpha1.LabelAgent],
		releaseRequested: p.Annotations[v1alpha1.AnnotationRelease] != "",
		held:             p.Annotations[v1alpha1.AnnotationHold] == "true",
		released:         parseReleaseRecords(p.Annotations[v1alpha1.AnnotationReleased]),
		status:           shiftTimes(&p.Status, portpressure.ComputeClockSkew(p)),
	}
}

// shiftTimes returns the status with the times that a rollout uses shifted by an offset.
func shiftTimes(s *v1alpha1.PortPressureStatus, by time.Duration) *v1alpha1.PortPressureStatus {
	if by == 0 {
		return s
	}
	s = s.DeepCopy()
	move := func(t *metav1.Time) {
		if t != nil && !t.IsZero() {
			t.Time = t.Add(by)
		}
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
