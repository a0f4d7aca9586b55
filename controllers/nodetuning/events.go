package nodetuning

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"portreeve.io/portreeve/api/v1alpha1"
)

// tuningEvent is an Event on a NodeTuning.
type tuningEvent struct{ eventType, reason, note string }

// listEvents returns one Event for each state that begins between two statuses.
func listEvents(was, is *v1alpha1.NodeTuningStatus) (list []tuningEvent) {
	add := func(begins bool, eventType, reason, note string) {
		if begins {
			list = append(list, tuningEvent{eventType: eventType, reason: reason, note: note})
		}
	}
	if why := findStopReason(is); why != "" && (why != findStopReason(was) || is.Rollout.Phase != was.Rollout.Phase) {
		eventType := corev1.EventTypeWarning
		if why == v1alpha1.ReasonRolloutPaused {
			eventType = corev1.EventTypeNormal
		}
		note := is.Rollout.Reason
		if is.Rollout.Phase == v1alpha1.RolloutReverted {
			note += "; the settings of the previous revision are restored on the updated nodes"
		}
		add(true, eventType, why, note)
	}
	add(is.Rollout.Phase == v1alpha1.RolloutComplete && was.Rollout.Phase != v1alpha1.RolloutComplete,
		corev1.EventTypeNormal, v1alpha1.ReasonRolloutComplete,
		fmt.Sprintf("%d of %d nodes updated, all settings applied on %d",
			is.Counts.Updated, is.Counts.Matched, is.Counts.Applied))
	addRequest := func(was, is *v1alpha1.RolloutRequest, reason, what string) {
		if is != nil && (was == nil || *was != *is) {
			add(true, corev1.EventTypeNormal, reason, fmt.Sprintf("revision %d %s by %s", is.Revision, what, cmp.Or(is.By, "a user")))
		}
	}
	if was.Rollout.Stop != nil && is.Rollout.Stop == nil {
		addRequest(was.Rollout.Resumed, is.Rollout.Resumed, v1alpha1.ReasonRolloutResumed, "resumed")
	}
	addRequest(was.Rollout.Approved, is.Rollout.Approved, v1alpha1.ReasonRolloutApproved, "approved")
	add(isStuck(is) && !isStuck(was),
		corev1.EventTypeWarning, v1alpha1.ReasonProgressDeadlineExceeded, findMessage(is, v1alpha1.ConditionProgressing))
	add(isConflicted(is) && !isConflicted(was),
		corev1.EventTypeWarning, v1alpha1.ReasonConflictFound, findMessage(is, v1alpha1.ConditionConflicted))

	before, now := was.Counts, is.Counts
	add(now.Failed > 0 && before.Failed == 0,
		corev1.EventTypeWarning, v1alpha1.ReasonSettingFailed, formatFirstFailure(is, v1alpha1.SettingFailed))
	add(now.Refused > 0 && before.Refused == 0,
		corev1.EventTypeWarning, v1alpha1.ReasonSettingRefused, formatFirstFailure(is, v1alpha1.SettingRefused))
	add(now.Contested > 0 && before.Contested == 0,
		corev1.EventTypeWarning, v1alpha1.ReasonSettingContested, formatFirstFailure(is, v1alpha1.SettingContested))
	add(now.RestartRequired > 0 && before.RestartRequired == 0, corev1.EventTypeNormal, v1alpha1.ReasonRestartRequired,
		fmt.Sprintf("on %d of %d nodes, a setting takes effect after a restart of the node",
			now.RestartRequired, now.Updated))
	return list
}

// findStopReason returns why a rollout is stopped, or an empty string if it is not.
func findStopReason(s *v1alpha1.NodeTuningStatus) string {
	if p := s.Rollout.Phase; p != v1alpha1.RolloutPaused && p != v1alpha1.RolloutReverted {
		return ""
	}
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionDegraded); c != nil {
		return c.Reason
	}
	return ""
}

func isConflicted(s *v1alpha1.NodeTuningStatus) bool {
	return meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionConflicted)
}

func isStuck(s *v1alpha1.NodeTuningStatus) bool {
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionProgressing)
	return c != nil && c.Reason == v1alpha1.ReasonProgressDeadlineExceeded
}

func findMessage(s *v1alpha1.NodeTuningStatus, condition string) string {
	if c := meta.FindStatusCondition(s.Conditions, condition); c != nil {
		return c.Message
	}
	return ""
}

// formatFirstFailure describes the first setting in that state.
func formatFirstFailure(s *v1alpha1.NodeTuningStatus, state v1alpha1.SettingState) string {
	for _, f := range s.Failing {
		if f.State == state {
			return fmt.Sprintf("%s on %s: %s", f.Key, f.Node, f.Message)
		}
	}
	return "status.failing lists other nodes first; kubectl get portpressures lists all"
}
