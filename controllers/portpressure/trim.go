package portpressure

import (
	"slices"
	"time"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// The functions below are transforms of the cache (client-go's TransformFunc). The
// controller may rely only on what they keep, and must never write a trimmed object back
// whole, only patch it.

// TrimNode keeps a node's identity, its labels and the annotation of
// annotateRestartRequired.
func TrimNode(obj any) (any, error) {
	if node, err := meta.Accessor(obj); err == nil {
		node.SetManagedFields(nil)
		value, has := node.GetAnnotations()[v1alpha1.AnnotationRestartRequired]
		node.SetAnnotations(nil)
		if has {
			node.SetAnnotations(map[string]string{v1alpha1.AnnotationRestartRequired: value})
		}
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

// TrimPortPressure keeps a PortPressure's metadata and spec, the times of status writes in
// managedFields, and the parts of the status in which changes are detected. The rest, for
// the notes of Events, comes with the response to the patch that records the changes.
func TrimPortPressure(obj any) (any, error) {
	p, ok := obj.(*v1alpha1.PortPressure)
	if !ok {
		return obj, nil
	}
	p.TypeMeta = metav1.TypeMeta{} // lists set it, watches don't
	p.ManagedFields = trimManagedFields(p.ManagedFields)
	p.Status = v1alpha1.PortPressureStatus{
		ObservedGeneration: p.Status.ObservedGeneration,
		ObservedAt:         p.Status.ObservedAt,
		Level:              p.Status.Level,
		UsedPercent:        p.Status.UsedPercent,
		Tightest:           trimTightest(&p.Status),
		Conditions:         trimConditions(p.Status.Conditions),
		Failures:           trimFailures(p.Status.Failures),
		LastPressure:       trimPressure(p.Status.LastPressure),
		Settings:           sharedStatuses.share(trimSettings(p.Status.Settings, p.Spec.Settings == nil)),
		OmittedSettings:    p.Status.OmittedSettings,
	}
	for i := range p.Spec.Settings {
		internSetting(&p.Spec.Settings[i])
	}
	p.Spec.Settings = sharedSettings.share(p.Spec.Settings)
	return p, nil
}

// trimSettings keeps the state of settings, which rollouts use. Values are kept only if
// the spec has no settings: then they are the values that the agent still enforces.
func trimSettings(settings []v1alpha1.SettingStatus, values bool) []v1alpha1.SettingStatus {
	kept := slices.Clone(settings)
	for i, s := range kept {
		kept[i] = v1alpha1.SettingStatus{ID: intern(s.ID), Key: intern(s.Key), State: intern(s.State)}
		switch s.State {
		case v1alpha1.SettingRefused, v1alpha1.SettingFailed, v1alpha1.SettingContested:
			kept[i].Message = intern(s.Message)
		case v1alpha1.SettingPending: // one without a value is being reverted
			kept[i].Desired = s.Desired
		}
		if values {
			kept[i].Desired, kept[i].Current = s.Desired, s.Current
		}
	}
	return kept
}

// internSetting interns the strings of s: one NodeTuning gives thousands of nodes the same
// settings.
func internSetting(s *v1alpha1.Setting) {
	s.ID, s.Key, s.Value, s.From.Name = intern(s.ID), intern(s.Key), intern(s.Value), intern(s.From.Name)
	s.Scope, s.Mode, s.Activation = intern(s.Scope), intern(s.Mode), intern(s.Activation)
}

// intern returns s, sharing the memory of equal strings.
func intern[T ~string](s T) T { return unique.Make(s).Value() }

// trimPressure keeps when the pressure began.
func trimPressure(p *v1alpha1.Pressure) *v1alpha1.Pressure {
	if p == nil {
		return nil
	}
	return &v1alpha1.Pressure{From: p.From}
}

// trimTightest keeps the tightest pool's destination if the node is under pressure.
func trimTightest(s *v1alpha1.PortPressureStatus) *v1alpha1.Pool {
	if s.Tightest == nil || !isUnderPressure(s.Level) {
		return nil
	}
	return &v1alpha1.Pool{Destination: s.Tightest.Destination, Port: s.Tightest.Port}
}

// trimConditions keeps the status of the conditions that Events report, and since when no
// ports are available, if none are.
func trimConditions(conditions []metav1.Condition) (kept []metav1.Condition) {
	for _, kind := range []string{v1alpha1.ConditionLeakSuspected, v1alpha1.ConditionConntrackAvailable} {
		if c := meta.FindStatusCondition(conditions, kind); c != nil {
			kept = append(kept, metav1.Condition{Type: kind, Status: c.Status})
		}
	}
	if meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionRestartRequired) {
		kept = append(kept, metav1.Condition{Type: v1alpha1.ConditionRestartRequired, Status: metav1.ConditionTrue})
	}
	if c := meta.FindStatusCondition(conditions, v1alpha1.ConditionPortsAvailable); c != nil && c.Status == metav1.ConditionFalse {
		kept = append(kept, metav1.Condition{Type: c.Type, Status: c.Status, LastTransitionTime: c.LastTransitionTime})
	}
	return kept
}

// trimFailures keeps the time of the last failed call.
func trimFailures(failures []v1alpha1.Failure) []v1alpha1.Failure {
	if len(failures) == 0 {
		return nil
	}
	last := slices.MaxFunc(failures, func(a, b v1alpha1.Failure) int { return a.LastAt.Compare(b.LastAt.Time) })
	return []v1alpha1.Failure{{LastAt: last.LastAt}}
}

// trimManagedFields keeps the entries of status writes, without their fields.
func trimManagedFields(entries []metav1.ManagedFieldsEntry) (kept []metav1.ManagedFieldsEntry) {
	for _, e := range entries {
		if e.Subresource == "status" && e.Time != nil {
			kept = append(kept, metav1.ManagedFieldsEntry{Operation: e.Operation, Subresource: e.Subresource, Time: e.Time})
		}
	}
	return kept
}

// findReportTime returns when the status was last written. It prefers managedFields, which
// has the API server's clock: the node's, in observedAt, may be wrong by hours.
func findReportTime(p *v1alpha1.PortPressure) time.Time {
	if p.Status.ObservedAt == nil {
		return time.Time{}
	}
	last := time.Time{}
	for _, e := range trimManagedFields(p.ManagedFields) {
		if e.Time.After(last) {
			last = e.Time.Time
		}
	}
	if last.IsZero() {
		return p.Status.ObservedAt.Time
	}
	return last
}

// ComputeClockSkew returns how far the API server's clock was ahead of the node's when p's
// status was written, to be added to the node's times. Less than a minute counts as 0: a
// status is written some seconds after it was measured.
func ComputeClockSkew(p *v1alpha1.PortPressure) time.Duration {
	if p.Status.ObservedAt == nil {
		return 0
	}
	if skew := findReportTime(p).Sub(p.Status.ObservedAt.Time); skew.Abs() >= time.Minute {
		return skew
	}
	return 0
}
