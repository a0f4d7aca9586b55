package portpressure

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// The trims below are transforms of the cache (client-go's TransformFunc). What they
// leave is all that the controller may rely on, and nothing that went through one may
// be written back whole: patches only.

// TrimNode keeps a node's identity and labels.
func TrimNode(obj any) (any, error) {
	if node, err := meta.Accessor(obj); err == nil {
		node.SetManagedFields(nil)
		node.SetAnnotations(nil)
	}
	return obj, nil
}

// TrimPod keeps a pod's identity, its node and whether it is ready.
func TrimPod(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil // a tombstone
	}
	ready := slices.DeleteFunc(slices.Clone(pod.Status.Conditions), func(c corev1.PodCondition) bool { return c.Type != corev1.PodReady })
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:         pod.Namespace,
			Name:              pod.Name,
			UID:               pod.UID,
			ResourceVersion:   pod.ResourceVersion,
			DeletionTimestamp: pod.DeletionTimestamp,
		},
		Spec:   corev1.PodSpec{NodeName: pod.Spec.NodeName},
		Status: corev1.PodStatus{Conditions: slices.Clip(ready)},
	}, nil
}

// Trim keeps metadata and spec of a PortPressure, of managedFields when status was
// written, and of the status what decides whether there is news. What news are made of
// comes with the answer to the patch that notes them.
func Trim(obj any) (any, error) {
	p, ok := obj.(*v1alpha1.PortPressure)
	if !ok {
		return obj, nil
	}
	p.ManagedFields = statusWrites(p.ManagedFields)
	p.Status = v1alpha1.PortPressureStatus{
		ObservedGeneration: p.Status.ObservedGeneration,
		ObservedAt:         p.Status.ObservedAt,
		Level:              p.Status.Level,
		UsedPercent:        p.Status.UsedPercent,
		Tightest:           leadsTo(&p.Status),
		Conditions:         told(p.Status.Conditions),
		Failures:           lastFailure(p.Status.Failures),
	}
	return p, nil
}

// leadsTo is where the tightest pool leads to, past the line.
func leadsTo(s *v1alpha1.PortPressureStatus) *v1alpha1.Pool {
	if s.Tightest == nil || !pressed(s.Level) {
		return nil
	}
	return &v1alpha1.Pool{Destination: s.Tightest.Destination, Port: s.Tightest.Port}
}

// told are the conditions that Events tell of, and how they are.
func told(conditions []metav1.Condition) (kept []metav1.Condition) {
	for _, kind := range []string{v1alpha1.ConditionLeakSuspected, v1alpha1.ConditionConntrackAvailable} {
		if c := meta.FindStatusCondition(conditions, kind); c != nil {
			kept = append(kept, metav1.Condition{Type: kind, Status: c.Status})
		}
	}
	return kept
}

// lastFailure is when a call failed last.
func lastFailure(failures []v1alpha1.Failure) []v1alpha1.Failure {
	if len(failures) == 0 {
		return nil
	}
	last := slices.MaxFunc(failures, func(a, b v1alpha1.Failure) int { return a.LastAt.Compare(b.LastAt.Time) })
	return []v1alpha1.Failure{{LastAt: last.LastAt}}
}

// statusWrites are the entries that say when status was written, without the fields.
func statusWrites(entries []metav1.ManagedFieldsEntry) (kept []metav1.ManagedFieldsEntry) {
	for _, e := range entries {
		if e.Subresource == "status" && e.Time != nil {
			kept = append(kept, metav1.ManagedFieldsEntry{Operation: e.Operation, Subresource: e.Subresource, Time: e.Time})
		}
	}
	return kept
}

// reportedAt is when the status was written last. The API server's clock says so in
// managedFields: the node's, in observedAt, may be wrong by hours.
func reportedAt(p *v1alpha1.PortPressure) time.Time {
	if p.Status.ObservedAt == nil {
		return time.Time{}
	}
	last := time.Time{}
	for _, e := range statusWrites(p.ManagedFields) {
		if e.Time.After(last) {
			last = e.Time.Time
		}
	}
	if last.IsZero() {
		return p.Status.ObservedAt.Time
	}
	return last
}
