package assess

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// Tuned adds to status, which comes from Follow, how far each setting has come: nil
// where nobody has said what is wanted.
func (c *Course) Tuned(status *v1alpha1.PortPressureStatus, statuses []v1alpha1.SettingStatus) {
	status.Settings = slices.Clone(statuses)
	proven(status.Capabilities, statuses)
	for _, now := range []metav1.Condition{tuned(statuses), restartRequired(statuses)} {
		now.ObservedGeneration, now.LastTransitionTime = status.ObservedGeneration, *status.ObservedAt
		meta.SetStatusCondition(&c.conditions, now)
	}
	status.Conditions = slices.Clone(c.conditions)
}

// proven marks as tried what is only assumed to work until a value of the registry stands
// as it was written.
func proven(list []v1alpha1.Capability, statuses []v1alpha1.SettingStatus) {
	stands := slices.ContainsFunc(statuses, func(s v1alpha1.SettingStatus) bool {
		return strings.HasPrefix(s.Key, settings.TcpipParameters) && (s.State == v1alpha1.SettingApplied || s.State == v1alpha1.SettingRestartRequired)
	})
	for i := range list {
		if c := &list[i]; stands && c.Name == v1alpha1.CapabilityRegistryWrite {
			c.State, c.Message = v1alpha1.CapabilityVerified, ""
		}
	}
}

// furthest is the states of settings that are not where they should be, the worst
// first.
var furthest = []v1alpha1.SettingState{
	v1alpha1.SettingFailed, v1alpha1.SettingContested, v1alpha1.SettingRefused, v1alpha1.SettingPending, v1alpha1.SettingRestartRequired,
}

func tuned(statuses []v1alpha1.SettingStatus) metav1.Condition {
	const kind = v1alpha1.ConditionTuned
	for _, state := range furthest {
		i := slices.IndexFunc(statuses, func(s v1alpha1.SettingStatus) bool { return s.State == state })
		if i >= 0 {
			return condition(kind, metav1.ConditionFalse, string(state), fmt.Sprintf("%s: %s", statuses[i].ID, statuses[i].Message))
		}
	}
	held := slices.ContainsFunc(statuses, func(s v1alpha1.SettingStatus) bool { return s.State != v1alpha1.SettingReleased })
	switch {
	case statuses == nil:
		return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonHolding, "nobody has said what is wanted")
	case !held:
		return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonNoSettings, "")
	}
	return condition(kind, metav1.ConditionTrue, string(v1alpha1.SettingApplied), "")
}

func restartRequired(statuses []v1alpha1.SettingStatus) metav1.Condition {
	const kind = v1alpha1.ConditionRestartRequired
	var names []string
	for _, s := range statuses {
		if s.State == v1alpha1.SettingRestartRequired {
			names = append(names, strings.TrimPrefix(s.Key, settings.TcpipParameters))
		}
	}
	if len(names) > 0 {
		return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonRestartPending, strings.Join(names, ", "))
	}
	return condition(kind, metav1.ConditionFalse, v1alpha1.ReasonNoRestartPending, "")
}
