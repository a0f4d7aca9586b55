package rollout

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/text"
)

// stopIfUnreadable stops the rollout of an invalid NodeTuning: nodes keep their settings.
func stopIfUnreadable(c *rolloutState) (*stepResult, bool) {
	switch {
	case !c.Tuning.DeletionTimestamp.IsZero():
		return nil, false
	case c.Problem != "":
		return stopRollout(v1alpha1.ReasonTuningUnreadable, c.Problem)
	case c.window.problem != "":
		return stopRollout(v1alpha1.ReasonTuningUnreadable, c.window.problem)
	}
	return nil, false
}

// releaseDeleted restores the original settings if the NodeTuning is being deleted, within
// the budget but without canaries and brake, because a user has asked for it.
func releaseDeleted(c *rolloutState) (*stepResult, bool) {
	if c.Tuning.DeletionTimestamp.IsZero() {
		return nil, false
	}
	left, obstacles := 0, []string(nil)
	for _, n := range c.nodes {
		if !n.hasSettingsLeft() {
			continue
		}
		left++
		if n.Obstacle != "" {
			obstacles = append(obstacles, fmt.Sprintf("%s (%s)", n.Name, text.Truncate(n.Obstacle, maxObstacle)))
		}
	}
	reason := "original settings not yet restored on " + text.FormatPlural(left, "node")
	if c.Pause != "" {
		reason += "; " + c.Pause
	}
	if len(obstacles) > 0 {
		reason += fmt.Sprintf("; waiting for %s: to continue without them, annotate the NodeTuning with %s=%d",
			formatNames(obstacles), v1alpha1.AnnotationConfirmRelease, c.Tuning.Generation)
	}
	return &stepResult{phase: v1alpha1.RolloutReleasing, reason: reason, update: c.selectBatch(c.pending)}, true
}

// maxObstacle limits the length of each obstacle in a reason.
const maxObstacle = 100

// stopWithCluster stops the rollout while all rollouts of the cluster are stopped.
func stopWithCluster(c *rolloutState) (*stepResult, bool) {
	if c.Pause == "" {
		return nil, false
	}
	return stopRollout(v1alpha1.ReasonRolloutPaused, c.Pause)
}

// continueStop keeps a rollout stopped until a user edits the NodeTuning or resumes the
// revision, and reverts it if that is desired.
func continueStop(c *rolloutState) (*stepResult, bool) {
	stop := c.progress.Stop
	if stop == nil {
		return nil, false
	}
	if !c.reverts {
		return stopRollout(stop.Reason, stop.Message)
	}
	return &stepResult{
		phase: v1alpha1.RolloutReverted, degradedReason: stop.Reason, reason: stop.Message,
		revert: c.selectBatch(c.listUnreverted()),
	}, true
}

// listUnreverted returns the nodes that the rollout has changed, in settings or by
// deselecting them, and that don't have their previous settings yet.
func (c *rolloutState) listUnreverted() (list []*nodeState) {
	for _, n := range c.nodes {
		previous, known := c.Previous[n.Name]
		isOfRollout := n.changed || known && n.upToDate && !n.isGaining()
		if isOfRollout && !n.AgentSilent && !n.Held && !EqualSettings(n.Current, previous) {
			list = append(list, n)
		}
	}
	return list
}

// stopIfPaused stops a rollout that a user has paused.
func stopIfPaused(c *rolloutState) (*stepResult, bool) {
	if !c.isPaused {
		return nil, false
	}
	return stopRollout(v1alpha1.ReasonRolloutPaused, "spec.rollout.paused is true")
}

// IsReleaseConfirmed reports whether a user has confirmed the removal for the current
// generation of t.
func IsReleaseConfirmed(t *v1alpha1.NodeTuning) bool {
	return t.Annotations[v1alpha1.AnnotationConfirmRelease] == strconv.FormatInt(t.Generation, 10)
}

// applyBrake stops a rollout that would remove settings from too many nodes, such as
// after a mistake in the selector or a loss of labels.
func applyBrake(c *rolloutState) (*stepResult, bool) {
	if c.Brake == "" {
		return nil, false
	}
	return stopRollout(v1alpha1.ReasonReleaseHeld, c.Brake)
}

// updateCompleted updates nodes after their revision has completed, without judging the
// effect: nodes that joined the cluster since get their settings at once, and nodes whose
// labels have changed within the budget.
func updateCompleted(c *rolloutState) (*stepResult, bool) {
	if !c.isComplete() {
		return nil, false
	}
	var joined, others []*nodeState
	for _, n := range c.pending {
		if n.isGaining() && c.progress.CompletedAt != nil && n.CreatedAt.After(c.progress.CompletedAt.Time) {
			joined = append(joined, n)
		} else {
			others = append(others, n)
		}
	}
	update := joined
	if c.window.open {
		update = slices.Concat(joined, c.selectBatch(others))
	}
	switch {
	case len(update) == 0 && len(c.changing) > 0:
		return stayInPhase(v1alpha1.RolloutComplete, text.FormatPlural(len(c.changing), "node")+" in progress")
	case len(update) > 0 || len(others) > 0:
		return &stepResult{phase: v1alpha1.RolloutComplete, update: update, reevaluateAt: c.window.opensAt,
			reason: text.FormatPlural(len(c.pending), "node") + " remaining"}, true
	}
	return finishRollout(c)
}

// stopOnRegression stops the rollout if port pressure has increased on the updated nodes.
func stopOnRegression(c *rolloutState) (*stepResult, bool) {
	why := c.detectRegression()
	if why == "" {
		return nil, false
	}
	c.progress.Regressions++
	return c.recordStop(v1alpha1.ReasonRegressionFound, why)
}

// stopOnFailures stops the rollout if the update has failed on too many nodes. Before, it
// waits for a short time whether they heal.
func stopOnFailures(c *rolloutState) (*stepResult, bool) {
	if !c.exceedsMaxFailed() {
		return nil, false
	}
	if left := c.failureGrace() - seconds(c.progress.Clock.FailingSeconds); left > 0 {
		phase := v1alpha1.RolloutRolling
		if c.isCanaryStage() {
			phase = v1alpha1.RolloutCanary
		}
		return &stepResult{phase: phase, reevaluateAt: c.Now.Add(left), reason: c.describeFailures() + "; waiting whether they heal"}, true
	}
	return c.recordStop(v1alpha1.ReasonTooManyFailed, c.describeFailures())
}

func (c *rolloutState) recordStop(reason, message string) (*stepResult, bool) {
	c.progress.Stop = &v1alpha1.RolloutStop{
		Reason: reason, Message: text.TruncateBytes(message, maxMessage), Revision: c.Tuning.Generation, At: *c.now(),
	}
	return continueStop(c)
}

// waitForChanges waits until the canaries or the batch have changed. Without
// batchSoakSeconds, nodes follow as soon as the budget allows.
func waitForChanges(c *rolloutState) (*stepResult, bool) {
	reason := "in progress: " + formatNames(listNames(c.changing))
	switch {
	case len(c.changing) == 0:
		return nil, false
	case c.isCanaryStage() && (c.budget == 0 || len(c.selectCanaries()) == 0):
		return stayInPhase(v1alpha1.RolloutCanary, reason)
	case !c.isCanaryStage() && (c.budget == 0 || c.batchSoak > 0):
		return stayInPhase(v1alpha1.RolloutRolling, reason)
	}
	return nil, false
}

// observeBatch waits until the canaries or the batch have been observed for long enough.
func observeBatch(c *rolloutState) (*stepResult, bool) {
	if len(c.pending) == 0 || !c.isObserving() || c.hasSoaked() {
		return nil, false
	}
	soak, k := c.findSoak(), c.progress.Clock
	end := k.ReadAt.Add(soak - seconds(k.SoakedSeconds))
	switch {
	case !c.isCanaryStage():
		end = k.ReadAt.Add(soak - seconds(k.WaitedSeconds))
		return &stepResult{phase: v1alpha1.RolloutRolling, reevaluateAt: end, reason: fmt.Sprintf(
			"%s remaining; observing batch %d until %s", text.FormatPlural(len(c.pending), "node"), c.progress.Batch.Number, formatTime(end))}, true
	case c.isConclusive():
		return &stepResult{phase: v1alpha1.RolloutSoaking, reevaluateAt: end,
			reason: "observing the canaries until " + formatTime(end)}, true
	}
	end = k.ReadAt.Add(maxSoaks*soak - seconds(k.WaitedSeconds))
	return &stepResult{phase: v1alpha1.RolloutSoaking, reevaluateAt: end,
		reason: "inconclusive: " + c.explainInconclusive() + "; soaking until they do, at most until " + formatTime(end)}, true
}

// explainInconclusive returns what the canaries lack.
func (c *rolloutState) explainInconclusive() string {
	for _, n := range c.changed {
		if n.settled && !n.hasEffect {
			return "the canaries have not applied any setting"
		}
	}
	return "the canaries saw no traffic"
}

// awaitWindow waits until a window of the rollout opens.
func awaitWindow(c *rolloutState) (*stepResult, bool) {
	if c.window.open || len(c.pending) == 0 {
		return nil, false
	}
	reason := text.FormatPlural(len(c.pending), "node") + " remaining; "
	if c.window.opensAt.IsZero() {
		reason += "no window of rollout.windows ever opens"
	} else {
		reason += "the next window opens at " + c.window.opensAt.UTC().Format("2006-01-02 15:04 UTC")
	}
	return &stepResult{phase: v1alpha1.RolloutAwaitingWindow, reason: reason, reevaluateAt: c.window.opensAt}, true
}

// updateCanaries updates the first nodes.
func updateCanaries(c *rolloutState) (*stepResult, bool) {
	missing := c.findMissingCanaries()
	if len(missing) == 0 {
		return nil, false
	}
	if picked := c.selectCanaries(); len(picked) > 0 {
		return &stepResult{phase: v1alpha1.RolloutCanary, update: picked, canaries: true, reason: "updating the canaries first"}, true
	}
	for _, m := range missing {
		if len(m.candidates) == 0 {
			return stayInPhase(v1alpha1.RolloutCanary, fmt.Sprintf(
				"no %s node that remains to be updated matches rollout.canarySelector: label a node or change the selector", m.os))
		}
	}
	return stayInPhase(v1alpha1.RolloutCanary, "waiting until other changes in the cluster have finished")
}

// awaitApproval waits until a user approves the revision.
func awaitApproval(c *rolloutState) (*stepResult, bool) {
	if !c.needsApproval() || len(c.pending) == 0 {
		return nil, false
	}
	return stayInPhase(v1alpha1.RolloutAwaitingApproval, fmt.Sprintf(
		"%s remaining; to approve revision %d, run kubectl portreeve tuning approve %s or annotate the NodeTuning with %s=%d",
		text.FormatPlural(len(c.pending), "node"), c.Tuning.Generation, c.Tuning.Name, v1alpha1.AnnotationApprove, c.Tuning.Generation))
}

// updateBatch updates as many nodes as the budget allows.
func updateBatch(c *rolloutState) (*stepResult, bool) {
	if len(c.pending) == 0 {
		return nil, false
	}
	return &stepResult{phase: v1alpha1.RolloutRolling, update: c.selectBatch(c.pending),
		reason: text.FormatPlural(len(c.pending), "node") + " remaining"}, true
}

// watchAll observes all updated nodes after the last batch.
func watchAll(c *rolloutState) (*stepResult, bool) {
	if len(c.changing) > 0 || len(c.changed) == 0 || c.hasSoaked() {
		return nil, false
	}
	k := c.progress.Clock
	end := k.ReadAt.Add(c.soak - seconds(k.WaitedSeconds))
	return &stepResult{phase: v1alpha1.RolloutWatching, reevaluateAt: end,
		reason: "observing all updated nodes until " + formatTime(end)}, true
}

// finishRollout completes the rollout once no node is changing. Nodes whose agents are
// silent, and nodes that are held, get the settings when they are back.
func finishRollout(c *rolloutState) (*stepResult, bool) {
	var restarts, silent, held []string
	for _, n := range c.nodes {
		switch {
		case n.restartRequired:
			restarts = append(restarts, n.Name)
		case !n.upToDate && n.AgentSilent:
			silent = append(silent, n.Name)
		case !n.upToDate && n.Held:
			held = append(held, n.Name)
		}
	}
	done := &stepResult{phase: v1alpha1.RolloutComplete, completes: !c.isComplete()}
	switch {
	case len(c.changing) > 0:
		return stayInPhase(v1alpha1.RolloutRolling, text.FormatPlural(len(c.changing), "node")+" in progress")
	case len(restarts) > 0:
		done.phase, done.reason = v1alpha1.RolloutAwaitingRestart, "restart required on "+formatNames(restarts)
	case len(silent) > 0:
		done.reason = "waiting for silent agents on " + formatNames(silent)
	case len(held) > 0:
		done.reason = "not updated because of the annotation " + v1alpha1.AnnotationHold + ": " + formatNames(held)
	}
	return done, true
}

func formatTime(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

// formatNames lists the first names, and counts the others.
func formatNames(names []string) string {
	const maxNames = 5
	if len(names) <= maxNames {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNames], ", "), len(names)-maxNames)
}
