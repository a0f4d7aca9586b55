package rollout

import (
	"cmp"
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
	if c.Problem == "" || !c.Tuning.DeletionTimestamp.IsZero() {
		return nil, false
	}
	return stopRollout(v1alpha1.ReasonTuningUnreadable, c.Problem)
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
	return &stepResult{phase: v1alpha1.RolloutReleasing, reason: reason, update: c.selectWithinBudget(c.pending, len(c.pending))}, true
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

// continueRevert restores the original settings on the updated nodes after a regression,
// within the budget. The rollout then stays Reverted until a user edits the NodeTuning.
func continueRevert(c *rolloutState) (*stepResult, bool) {
	if !c.hadPhase(v1alpha1.RolloutReverted) {
		return nil, false
	}
	return revertUpdated(c, c.Tuning.Status.Rollout.Reason)
}

// revertUpdated returns a result that restores the previous settings on updated nodes.
func revertUpdated(c *rolloutState, reason string) (*stepResult, bool) {
	var unreverted []*nodeState
	for _, n := range c.updated {
		if !equalSettings(n.Current, c.Previous[n.Name]) {
			unreverted = append(unreverted, n)
		}
	}
	return &stepResult{
		phase: v1alpha1.RolloutReverted, degradedReason: v1alpha1.ReasonRegressionFound, reason: reason,
		revert: c.selectWithinBudget(unreverted, len(unreverted)),
	}, true
}

// stopIfPaused stops a rollout that a user or a regression has paused.
func stopIfPaused(c *rolloutState) (*stepResult, bool) {
	switch {
	case c.Tuning.Spec.Rollout.Paused:
		return stopRollout(v1alpha1.ReasonRolloutPaused, "spec.rollout.paused is true")
	case c.hadPhase(v1alpha1.RolloutPaused) && strings.HasPrefix(c.Tuning.Status.Rollout.Reason, regressionPrefix):
		return stopRollout(v1alpha1.ReasonRegressionFound, c.Tuning.Status.Rollout.Reason)
	}
	return nil, false
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

// stopOnRegression pauses or reverts the rollout if the updated nodes have regressed.
func stopOnRegression(c *rolloutState) (*stepResult, bool) {
	if len(c.pending) == 0 {
		return nil, false
	}
	why := c.detectRegression()
	switch {
	case why == "":
		return nil, false
	case c.Tuning.Spec.Rollout.OnRegression == v1alpha1.OnRegressionRevert:
		return revertUpdated(c, why)
	}
	return stopRollout(v1alpha1.ReasonRegressionFound, why)
}

// waitForChanges waits while the changing nodes use up the budget or are canaries.
func waitForChanges(c *rolloutState) (*stepResult, bool) {
	if len(c.changing) == 0 || c.budget > 0 && !c.isCanaryStage() {
		return nil, false
	}
	phase := v1alpha1.RolloutRolling
	if c.isCanaryStage() {
		phase = v1alpha1.RolloutCanary
		if len(c.updated) < c.canaryCount && c.budget > 0 {
			return nil, false
		}
	}
	var names []string
	for _, n := range c.changing {
		names = append(names, n.Name)
	}
	return stayInPhase(phase, "in progress: "+formatNames(names))
}

// soakCanaries waits until the updated canaries have soaked.
func soakCanaries(c *rolloutState) (*stepResult, bool) {
	if !c.isCanaryStage() || len(c.updated) < c.canaryCount || len(c.pending) == 0 {
		return nil, false
	}
	_, last := c.findSettleTimes()
	end := last.Add(c.soak)
	if c.Now.Before(end) {
		return &stepResult{phase: v1alpha1.RolloutSoaking, reevaluateAt: end,
			reason: "observing the canaries until " + formatTime(end)}, true
	}
	if end = last.Add(maxSoaks * c.soak); c.Now.Before(end) && !slices.ContainsFunc(c.updated, (*nodeState).hasTraffic) {
		return &stepResult{phase: v1alpha1.RolloutSoaking, reevaluateAt: end,
			reason: "inconclusive: the canaries saw no traffic; soaking until they do, at most until " + formatTime(end)}, true
	}
	return nil, false
}

// updateCanaries updates the first nodes: those with the highest port usage, because idle
// nodes show no effect.
func updateCanaries(c *rolloutState) (*stepResult, bool) {
	missing := c.canaryCount - len(c.updated)
	var gaining []*nodeState
	for _, n := range c.pending {
		if n.Selected && len(n.Desired) > 0 {
			gaining = append(gaining, n)
		}
	}
	if missing <= 0 || len(gaining) == 0 {
		return nil, false
	}
	slices.SortStableFunc(gaining, func(a, b *nodeState) int { return cmp.Compare(b.usedPercent(), a.usedPercent()) })
	return &stepResult{phase: v1alpha1.RolloutCanary, update: c.selectWithinBudget(gaining, missing),
		reason: "updating the canaries first"}, true
}

// updateBatch updates as many nodes as the budget allows.
func updateBatch(c *rolloutState) (*stepResult, bool) {
	if len(c.pending) == 0 {
		return nil, false
	}
	return &stepResult{phase: v1alpha1.RolloutRolling, update: c.selectWithinBudget(c.pending, len(c.pending)),
		reason: text.FormatPlural(len(c.pending), "node") + " remaining"}, true
}

// finishRollout completes the rollout, once no node is changing, has a silent agent or
// requires a restart.
func finishRollout(c *rolloutState) (*stepResult, bool) {
	var waiting, silent []string
	for _, n := range c.nodes {
		if n.restartRequired {
			waiting = append(waiting, n.Name)
		}
		if !n.upToDate && n.AgentSilent {
			silent = append(silent, fmt.Sprintf("%s (%s)", n.Name, cmp.Or(n.Obstacle, "its agent is silent")))
		}
	}
	switch {
	case len(c.changing) > 0:
		return stayInPhase(v1alpha1.RolloutRolling, text.FormatPlural(len(c.changing), "node")+" in progress")
	case len(silent) > 0:
		return stayInPhase(v1alpha1.RolloutRolling, "waiting for "+formatNames(silent))
	case len(waiting) > 0:
		return stayInPhase(v1alpha1.RolloutAwaitingRestart, "restart required on "+formatNames(waiting))
	}
	return stayInPhase(v1alpha1.RolloutComplete, "")
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
