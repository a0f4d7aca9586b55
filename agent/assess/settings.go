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

// addSettings adds the state of each setting and the conditions Tuned and RestartRequired
// to a status from completeStatus. statuses is nil if no desired settings were received.
func (h *StatusHistory) addSettings(status *v1alpha1.PortPressureStatus, statuses []v1alpha1.SettingStatus) {
	status.Settings = slices.Clone(statuses)
	markVerified(status.Capabilities, statuses)
	for _, now := range []metav1.Condition{evaluateTuned(statuses), evaluateRestartRequired(statuses)} {
		now.ObservedGeneration, now.LastTransitionTime = status.ObservedGeneration, *status.ObservedAt
		meta.SetStatusCondition(&h.conditions, now)
	}
	if orphaned := listOrphaned(statuses); len(orphaned) > 0 {
		now := newCondition(v1alpha1.ConditionSettingsOrphaned, metav1.ConditionTrue, v1alpha1.ReasonNotRequested, strings.Join(orphaned, ", "))
		now.ObservedGeneration, now.LastTransitionTime = status.ObservedGeneration, *status.ObservedAt
		meta.SetStatusCondition(&h.conditions, now)
	} else {
		meta.RemoveStatusCondition(&h.conditions, v1alpha1.ConditionSettingsOrphaned)
	}
	status.Conditions = slices.Clone(h.conditions)
}

// listOrphaned returns the IDs of settings that are in effect but not requested.
func listOrphaned(statuses []v1alpha1.SettingStatus) (ids []string) {
	for _, s := range statuses {
		if s.Orphaned {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// markVerified changes the capability to write the registry from Assumed to Verified once
// a value there is as it was written.
func markVerified(list []v1alpha1.Capability, statuses []v1alpha1.SettingStatus) {
	isWritten := slices.ContainsFunc(statuses, func(s v1alpha1.SettingStatus) bool {
		return strings.HasPrefix(s.Key, settings.TcpipParameters) && (s.State == v1alpha1.SettingApplied || s.State == v1alpha1.SettingRestartRequired)
	})
	for i := range list {
		if c := &list[i]; isWritten && c.Name == v1alpha1.CapabilityRegistryWrite {
			c.State, c.Message = v1alpha1.CapabilityVerified, ""
		}
	}
}

// unfinishedStates are the states of settings that don't have their desired value, the
// worst first.
var unfinishedStates = []v1alpha1.SettingState{
	v1alpha1.SettingFailed, v1alpha1.SettingContested, v1alpha1.SettingRefused, v1alpha1.SettingPending, v1alpha1.SettingRestartRequired,
}

func evaluateTuned(statuses []v1alpha1.SettingStatus) metav1.Condition {
	const kind = v1alpha1.ConditionTuned
	for _, state := range unfinishedStates {
		i := slices.IndexFunc(statuses, func(s v1alpha1.SettingStatus) bool { return s.State == state })
		if i >= 0 {
			return newCondition(kind, metav1.ConditionFalse, string(state), fmt.Sprintf("%s: %s", statuses[i].ID, statuses[i].Message))
		}
	}
	isEnforcing := slices.ContainsFunc(statuses, func(s v1alpha1.SettingStatus) bool { return s.State != v1alpha1.SettingReleased })
	switch {
	case statuses == nil:
		return newCondition(kind, metav1.ConditionTrue, v1alpha1.ReasonHolding, "no desired settings received yet")
	case !isEnforcing:
		return newCondition(kind, metav1.ConditionTrue, v1alpha1.ReasonNoSettings, "")
	}
	return newCondition(kind, metav1.ConditionTrue, string(v1alpha1.SettingApplied), "")
}

func evaluateRestartRequired(statuses []v1alpha1.SettingStatus) metav1.Condition {
	const kind = v1alpha1.ConditionRestartRequired
	var names []string
	for _, s := range statuses {
		if s.State == v1alpha1.SettingRestartRequired {
			names = append(names, strings.TrimPrefix(s.Key, settings.TcpipParameters))
		}
	}
	if len(names) > 0 {
		return newCondition(kind, metav1.ConditionTrue, v1alpha1.ReasonRestartPending, strings.Join(names, ", "))
	}
	return newCondition(kind, metav1.ConditionFalse, v1alpha1.ReasonNoRestartPending, "")
}
