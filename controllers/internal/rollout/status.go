package rollout

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/text"
)

// maxFailing and maxCanaries limit how many a status lists.
const (
	maxFailing  = 10
	maxCanaries = 10
)

// makeStatus returns the NodeTuning's status after the step with the result v.
func (c *rolloutState) makeStatus(v *stepResult) v1alpha1.NodeTuningStatus {
	s := *c.Tuning.Status.DeepCopy()
	s.ObservedGeneration = c.Tuning.Generation
	s.Counts, s.Failing = c.countNodes()
	s.Conflicts, s.Previews = c.Conflicts, c.Previews
	for _, p := range c.Previews { // these nodes report the settings that others enforce
		s.Counts.DryRun = max(s.Counts.DryRun, p.Nodes)
	}
	was := s.Rollout
	s.Rollout = v1alpha1.RolloutStatus{Phase: v.phase, Reason: v.reason, Since: was.Since, Updated: int32(len(c.updated))}
	if was.Phase != v.phase || was.Since == nil {
		s.Rollout.Since = &metav1.Time{Time: c.Now.Truncate(1e9)}
	}
	if c.isCanaryStage() {
		for _, n := range c.updated[:min(maxCanaries, len(c.updated))] {
			s.Rollout.Canaries = append(s.Rollout.Canaries, n.Name)
		}
	}
	for _, condition := range c.makeConditions(v, &s) {
		condition.ObservedGeneration = c.Tuning.Generation
		condition.LastTransitionTime = metav1.Time{Time: c.Now.Truncate(1e9)}
		meta.SetStatusCondition(&s.Conditions, condition)
	}
	return s
}

// countNodes counts the nodes by their state, and lists the first failing settings.
func (c *rolloutState) countNodes() (n v1alpha1.TuningCounts, failing []v1alpha1.TuningFailure) {
	for _, node := range c.nodes {
		if node.Selected {
			n.Matched++
		}
		if !node.isUpdated() {
			continue
		}
		n.Updated++
		if node.settled && len(node.failing) == 0 && !node.restartRequired && !node.dryRun {
			n.Applied++
		}
		n.DryRun += countIf(node.dryRun)
		n.RestartRequired += countIf(node.restartRequired)
		n.Failed += countIf(node.failed)
		n.Contested += countIf(node.contested)
		n.Refused += countIf(node.refused)
		for _, s := range node.failing {
			if len(failing) < maxFailing {
				failing = append(failing, v1alpha1.TuningFailure{Node: node.Name, Key: s.Key, State: s.State, Message: s.Message})
			}
		}
	}
	return n, failing
}

// countFailingNodes returns how many updated nodes have a failing setting.
func (c *rolloutState) countFailingNodes() (n int32) {
	for _, node := range c.updated {
		n += countIf(len(node.failing) > 0)
	}
	return n
}

func countIf(yes bool) int32 {
	if yes {
		return 1
	}
	return 0
}

func (c *rolloutState) makeConditions(v *stepResult, s *v1alpha1.NodeTuningStatus) []metav1.Condition {
	n := s.Counts
	failing := c.countFailingNodes()
	ready := v.phase == v1alpha1.RolloutComplete && failing == 0 && c.Refusal == ""
	progressing := v.phase == v1alpha1.RolloutCanary || v.phase == v1alpha1.RolloutSoaking ||
		v.phase == v1alpha1.RolloutRolling || v.phase == v1alpha1.RolloutReleasing
	stopped := v.phase == v1alpha1.RolloutReverted || v.phase == v1alpha1.RolloutPaused && !c.Tuning.Spec.Rollout.Paused
	degraded := makeCondition(v1alpha1.ConditionDegraded, failing > 0 || stopped || c.Refusal != "",
		v1alpha1.ReasonNotFullyApplied, v1alpha1.ReasonFullyApplied, v.reason)
	if c.Refusal != "" && !stopped {
		degraded.Reason, degraded.Message = v1alpha1.ReasonTooManySettings, c.Refusal
	} else if failing > 0 && !stopped {
		degraded.Message = "settings not applied as desired on " + text.FormatPlural(failing, "node") + ": see status.failing"
	}
	if v.degradedReason != "" {
		degraded.Reason = v.degradedReason
	}
	return []metav1.Condition{
		makeCondition(v1alpha1.ConditionReady, ready, string(v.phase), string(v.phase),
			fmt.Sprintf("%d of %d nodes updated, all settings applied on %d", n.Updated, n.Matched, n.Applied)),
		makeCondition(v1alpha1.ConditionProgressing, progressing, string(v.phase), string(v.phase), v.reason),
		degraded,
		makeCondition(v1alpha1.ConditionConflicted, len(s.Conflicts) > 0, v1alpha1.ReasonConflictFound, v1alpha1.ReasonNoConflict,
			formatConflicts(s.Conflicts)),
	}
}

func makeCondition(kind string, yes bool, reason, otherwise, message string) metav1.Condition {
	if yes {
		return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message}
	}
	return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: otherwise, Message: message}
}

// formatConflicts describes the first conflict, and counts the others.
func formatConflicts(list []v1alpha1.TuningConflict) string {
	if len(list) == 0 {
		return ""
	}
	k := list[0]
	message := fmt.Sprintf("%s on %s: NodeTuning %s sets a different value",
		k.Key, text.FormatPlural(k.Nodes, "node"), k.With)
	switch k.Winner {
	case "":
		message += " with the same priority, so neither is enforced: give one a higher priority"
	case k.With:
		message += " and has the higher priority"
	default:
		message += " and has the lower priority"
	}
	if more := len(list) - 1; more > 0 {
		message += fmt.Sprintf("; %d more", more)
	}
	return message
}
