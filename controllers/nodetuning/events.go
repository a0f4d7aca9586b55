package nodetuning

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"portreeve.io/portreeve/api/v1alpha1"
)

// tuningEvent is one thing to tell.
type tuningEvent struct{ eventType, reason, note string }

// listEvents is what is new in a status: what begins is told, once.
func listEvents(was, is *v1alpha1.NodeTuningStatus) (list []tuningEvent) {
	tell := func(yes bool, kind, reason, note string) {
		if yes {
			list = append(list, tuningEvent{kind, reason, note})
		}
	}
	if why := findStopReason(is); why != "" && (why != findStopReason(was) || is.Rollout.Phase != was.Rollout.Phase) {
		kind := corev1.EventTypeWarning
		if why == v1alpha1.ReasonRolloutPaused {
			kind = corev1.EventTypeNormal
		}
		note := is.Rollout.Reason
		if is.Rollout.Phase == v1alpha1.RolloutReverted {
			note += "; the changed nodes get their values back"
		}
		tell(true, kind, why, note)
	}
	tell(is.Rollout.Phase == v1alpha1.RolloutComplete && was.Rollout.Phase != v1alpha1.RolloutComplete,
		corev1.EventTypeNormal, v1alpha1.ReasonRolloutComplete, fmt.Sprintf("%d of %d nodes have it, %d as wanted", is.Counts.Updated, is.Counts.Matched, is.Counts.Applied))
	tell(isConflicted(is) && !isConflicted(was), corev1.EventTypeWarning, v1alpha1.ReasonConflictFound, findMessage(is, v1alpha1.ConditionConflicted))

	before, now := was.Counts, is.Counts
	tell(now.Failed > 0 && before.Failed == 0, corev1.EventTypeWarning, v1alpha1.ReasonSettingFailed, formatFirstFailure(is, v1alpha1.SettingFailed))
	tell(now.Refused > 0 && before.Refused == 0, corev1.EventTypeWarning, v1alpha1.ReasonSettingRefused, formatFirstFailure(is, v1alpha1.SettingRefused))
	tell(now.Contested > 0 && before.Contested == 0, corev1.EventTypeWarning, v1alpha1.ReasonSettingContested, formatFirstFailure(is, v1alpha1.SettingContested))
	tell(now.RestartRequired > 0 && before.RestartRequired == 0, corev1.EventTypeNormal, v1alpha1.ReasonRestartRequired,
		fmt.Sprintf("on %d of %d nodes a setting works after a restart only", now.RestartRequired, now.Updated))
	return list
}

// findStopReason is why a rollout stands still, empty where it doesn't.
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

func findMessage(s *v1alpha1.NodeTuningStatus, condition string) string {
	if c := meta.FindStatusCondition(s.Conditions, condition); c != nil {
		return c.Message
	}
	return ""
}

// formatFirstFailure names the first node and key in that state.
func formatFirstFailure(s *v1alpha1.NodeTuningStatus, state v1alpha1.SettingState) string {
	for _, f := range s.Failing {
		if f.State == state {
			return fmt.Sprintf("%s on %s: %s", f.Key, f.Node, f.Message)
		}
	}
	return "status.failing names other nodes first; kubectl get portpressures has them all"
}
