package rollout

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/text"
)

// These limit what a status contains.
const (
	maxFailing  = 10
	maxCanaries = 10
	maxMessage  = 1024 // bytes
)

// makeStatus returns the NodeTuning's status after the step with the result v.
func (c *rolloutState) makeStatus(v *stepResult) v1alpha1.NodeTuningStatus {
	was := &c.Tuning.Status
	s := *was.DeepCopy()
	s.ObservedGeneration = c.Tuning.Generation
	s.Counts, s.Failing = c.countNodes()
	s.Conflicts, s.Previews = c.Conflicts, c.Previews
	for _, p := range c.Previews { // these nodes report the settings that others enforce
		s.Counts.DryRun = max(s.Counts.DryRun, p.Nodes)
	}
	c.recordResult(v)
	s.Rollout = c.progress
	for _, condition := range c.makeConditions(v, &s) {
		condition.ObservedGeneration = c.Tuning.Generation
		condition.LastTransitionTime = *c.now()
		meta.SetStatusCondition(&s.Conditions, condition)
	}
	clock := s.Rollout.Clock
	if s.Rollout.Clock = was.Rollout.Clock; !equality.Semantic.DeepEqual(s, *was) || c.isReadingDue(&was.Rollout.Clock, &clock) {
		s.Rollout.Clock = clock
	}
	return s
}

// recordResult records the result of a step in the progress.
func (c *rolloutState) recordResult(v *stepResult) {
	p, was := &c.progress, &c.Tuning.Status
	p.Phase, p.Reason, p.Since, p.Updated = v.phase, text.TruncateBytes(v.reason, maxMessage), was.Rollout.Since, int32(len(c.updated))
	if was.Rollout.Phase != v.phase || p.Since == nil {
		p.Since = c.now()
	}
	if v.degradedReason == v1alpha1.ReasonReleaseHeld && !hasDegradedReason(was, v.degradedReason) {
		p.BrakeHolds++
	}
	if len(v.update) > 0 && c.isUnderWay() {
		c.beginBatch(v)
	}
	if v.completes {
		p.CompletedRevision, p.CompletedAt = c.Tuning.Generation, c.now()
		p.Overdue, p.ToleratedFailures, p.Clock = nil, 0, v1alpha1.RolloutClock{}
	}
}

// beginBatch records that nodes start to be updated. What is observed from now on belongs to
// the new batch.
func (c *rolloutState) beginBatch(v *stepResult) {
	p, b := &c.progress, &c.progress.Batch
	switch {
	case v.canaries:
		b.Number = 1
		p.Canaries = append(p.Canaries, listNames(v.update)...)
		p.Canaries = p.Canaries[:min(len(p.Canaries), maxCanaries)]
	case len(c.changing) == 0 || b.Number <= 1:
		b.Number = max(b.Number, 1) + 1
	}
	b.StartedAt = c.now()
	c.addExpected(b, v.update)
	if p.StartedAt == nil {
		p.StartedAt = c.now()
	}
	k := &p.Clock
	k.SoakedSeconds, k.WaitedSeconds, k.UpdatingSeconds, k.Observing, k.Conclusive = 0, 0, 0, false, false
}

func hasDegradedReason(s *v1alpha1.NodeTuningStatus, reason string) bool {
	degraded := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionDegraded)
	return degraded != nil && degraded.Reason == reason
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
	failing := c.countFailingNodes()
	complete, stuck := v.phase == v1alpha1.RolloutComplete && c.Refusal == "", c.isStuck()
	stopped := v.degradedReason != "" && v.degradedReason != v1alpha1.ReasonRolloutPaused
	waits := v.phase == v1alpha1.RolloutAwaitingApproval || v.phase == v1alpha1.RolloutAwaitingWindow
	progressing := !waits && !stuck && v.phase != v1alpha1.RolloutComplete && v.phase != v1alpha1.RolloutAwaitingRestart &&
		v.degradedReason == ""

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
		c.makeReady(complete && failing == 0, v, s),
		makeCondition(v1alpha1.ConditionReconciling, progressing || waits && !stuck, string(v.phase), string(v.phase), v.reason),
		c.makeStalled(stopped, v),
		c.makeProgressing(progressing, v),
		degraded,
		makeCondition(v1alpha1.ConditionConflicted, len(s.Conflicts) > 0, v1alpha1.ReasonConflictFound, v1alpha1.ReasonNoConflict,
			formatConflicts(s.Conflicts)),
	}
}

func (c *rolloutState) makeReady(ready bool, v *stepResult, s *v1alpha1.NodeTuningStatus) metav1.Condition {
	n := s.Counts
	if n.Matched == 0 && v.phase == v1alpha1.RolloutComplete {
		return makeCondition(v1alpha1.ConditionReady, false, "", v1alpha1.ReasonNoNodesMatch,
			"spec.nodeSelector matches no node: check it against kubectl get nodes --show-labels")
	}
	otherwise := string(v.phase)
	if c.Refusal != "" {
		otherwise = v1alpha1.ReasonTooManySettings
	}
	return makeCondition(v1alpha1.ConditionReady, ready, string(v.phase), otherwise,
		fmt.Sprintf("%d of %d nodes updated, all settings applied on %d", n.Updated, n.Matched, n.Applied))
}

func (c *rolloutState) makeStalled(stopped bool, v *stepResult) metav1.Condition {
	if c.isStuck() && !stopped {
		return makeCondition(v1alpha1.ConditionStalled, true, v1alpha1.ReasonProgressDeadlineExceeded, "", c.explainStuck(v))
	}
	if c.Refusal != "" && !stopped {
		return makeCondition(v1alpha1.ConditionStalled, true, v1alpha1.ReasonTooManySettings, "", c.Refusal)
	}
	return makeCondition(v1alpha1.ConditionStalled, stopped, v.degradedReason, v1alpha1.ReasonNotStalled, v.reason)
}

func (c *rolloutState) makeProgressing(progressing bool, v *stepResult) metav1.Condition {
	if c.isStuck() {
		return makeCondition(v1alpha1.ConditionProgressing, false, "", v1alpha1.ReasonProgressDeadlineExceeded, c.explainStuck(v))
	}
	return makeCondition(v1alpha1.ConditionProgressing, progressing, string(v.phase), string(v.phase), v.reason)
}

func (c *rolloutState) explainStuck(v *stepResult) string {
	message := fmt.Sprintf("no progress for %s (rollout.progressDeadlineSeconds); %s", c.deadline, v.reason)
	if len(c.progress.Overdue) > 0 {
		message += "; no report from " + formatNames(c.progress.Overdue)
	}
	return message
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
