package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// stopIfUnreadable: what can't be read holds what stands.
func stopIfUnreadable(c *rolloutState) (*stepResult, bool) {
	if c.Problem == "" || !c.Tuning.DeletionTimestamp.IsZero() {
		return nil, false
	}
	return stopRollout(v1alpha1.ReasonTuningUnreadable, c.Problem)
}

// releaseDeleted: a deleted one gives back at its pace; nobody soaks, nothing is braked,
// as someone has said so.
func releaseDeleted(c *rolloutState) (*stepResult, bool) {
	if c.Tuning.DeletionTimestamp.IsZero() {
		return nil, false
	}
	left := 0
	for _, n := range c.nodes {
		if n.hasSettingsLeft() {
			left++
		}
	}
	return &stepResult{
		phase: v1alpha1.RolloutReleasing, reason: nodes(left) + " to be given back" + c.formatSilentAgents(),
		update: c.selectWithinBudget(c.pending, len(c.pending)),
	}, true
}

// formatSilentAgents names agents that a release waits for.
func (c *rolloutState) formatSilentAgents() string {
	var names []string
	for _, n := range c.nodes {
		if n.AgentSilent && len(n.Current) > 0 {
			names = append(names, n.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("; waiting for the silent agents of %s: to go without them, annotate the NodeTuning with %s=%d",
		formatNames(names), AnnotationConfirm, c.Tuning.Generation)
}

// continueRevert: after a regression the changed ones give back, at the pace, and it ends
// there until someone edits the NodeTuning.
func continueRevert(c *rolloutState) (*stepResult, bool) {
	if !c.hadPhase(v1alpha1.RolloutReverted) {
		return nil, false
	}
	return &stepResult{phase: v1alpha1.RolloutReverted, degradedReason: v1alpha1.ReasonRegressionFound, reason: c.Tuning.Status.Rollout.Reason, revert: c.selectWithinBudget(c.updated, len(c.updated))}, true
}

func stopIfPaused(c *rolloutState) (*stepResult, bool) {
	switch {
	case c.Tuning.Spec.Rollout.Paused:
		return stopRollout(v1alpha1.ReasonRolloutPaused, "spec.rollout.paused is true")
	case c.hadPhase(v1alpha1.RolloutPaused) && strings.HasPrefix(c.Tuning.Status.Rollout.Reason, regressionPrefix):
		return stopRollout(v1alpha1.ReasonRegressionFound, c.Tuning.Status.Rollout.Reason)
	}
	return nil, false
}

// BrakePercent is the share of a cluster's nodes, in percent, that may lose settings without
// a confirmation, other than by deleting the NodeTuning.
const BrakePercent = 20

// AnnotationConfirm lets go what the brake holds.
const AnnotationConfirm = v1alpha1.AnnotationConfirmRelease

// IsReleaseConfirmed says whether someone has let go what is held of t as it is.
func IsReleaseConfirmed(t *v1alpha1.NodeTuning) bool {
	return t.Annotations[AnnotationConfirm] == strconv.FormatInt(t.Generation, 10)
}

// applyBrake: a selector that went wrong, labels that vanished.
func applyBrake(c *rolloutState) (*stepResult, bool) {
	losing := 0
	for _, n := range c.nodes {
		if !n.upToDate && n.losesSetting() {
			losing++
		}
	}
	if losing < 2 || losing*100 <= c.ClusterNodes*BrakePercent || IsReleaseConfirmed(c.Tuning) {
		return nil, false
	}
	return stopRollout(v1alpha1.ReasonReleaseHeld, fmt.Sprintf(
		"this would take settings from %s of %d at once, more than %d %%: if that is meant, annotate the NodeTuning with %s=%d",
		nodes(losing), c.ClusterNodes, BrakePercent, AnnotationConfirm, c.Tuning.Generation))
}

// stopOnRegression: changed nodes fare worse than the others.
func stopOnRegression(c *rolloutState) (*stepResult, bool) {
	if len(c.pending) == 0 {
		return nil, false
	}
	why := c.detectRegression()
	switch {
	case why == "":
		return nil, false
	case c.Tuning.Spec.Rollout.OnRegression == v1alpha1.OnRegressionRevert:
		return &stepResult{phase: v1alpha1.RolloutReverted, degradedReason: v1alpha1.ReasonRegressionFound, reason: why, revert: c.selectWithinBudget(c.updated, len(c.updated))}, true
	}
	return stopRollout(v1alpha1.ReasonRegressionFound, why)
}

// waitForChanges: nodes in change take up the whole pace, or are the canaries.
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
	return stayInPhase(phase, "in change: "+formatNames(names))
}

// soakCanaries: the canaries have changed, and are watched.
func soakCanaries(c *rolloutState) (*stepResult, bool) {
	if !c.isCanaryStage() || len(c.updated) < c.canaryCount || len(c.pending) == 0 {
		return nil, false
	}
	_, last := c.findSettleTimes()
	end := last.Add(c.soak)
	if c.Now.Before(end) {
		return &stepResult{phase: v1alpha1.RolloutSoaking, reason: "the canaries are watched until " + formatTime(end), reevaluateAt: end}, true
	}
	if end = last.Add(maxSoaks * c.soak); c.Now.Before(end) && !slices.ContainsFunc(c.updated, (*nodeState).hasTraffic) {
		return &stepResult{phase: v1alpha1.RolloutSoaking, reevaluateAt: end,
			reason: "inconclusive: the canaries saw no traffic; they are watched until they do, at most until " + formatTime(end)}, true
	}
	return nil, false
}

// updateCanaries: the first ones to change, those that use most ports, since an idle one
// tells nothing.
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
	return &stepResult{phase: v1alpha1.RolloutCanary, update: c.selectWithinBudget(gaining, missing), reason: "canaries first"}, true
}

func updateBatch(c *rolloutState) (*stepResult, bool) {
	if len(c.pending) == 0 {
		return nil, false
	}
	return &stepResult{phase: v1alpha1.RolloutRolling, update: c.selectWithinBudget(c.pending, len(c.pending)),
		reason: nodes(len(c.pending)) + " to go"}, true
}

// finishRollout is the end: complete, but for restarts, and for silent agents.
func finishRollout(c *rolloutState) (*stepResult, bool) {
	var waiting, silent []string
	for _, n := range c.nodes {
		if n.restartRequired {
			waiting = append(waiting, n.Name)
		}
		if !n.upToDate && n.AgentSilent {
			silent = append(silent, n.Name)
		}
	}
	switch {
	case len(c.changing) > 0:
		return stayInPhase(v1alpha1.RolloutRolling, nodes(len(c.changing))+" in change")
	case len(silent) > 0:
		return stayInPhase(v1alpha1.RolloutRolling, "waiting for the silent agents of "+formatNames(silent))
	case len(waiting) > 0:
		return stayInPhase(v1alpha1.RolloutAwaitingRestart, "to be restarted: "+formatNames(waiting))
	}
	return stayInPhase(v1alpha1.RolloutComplete, "")
}

func formatTime(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

func nodes(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

// formatNames names the first few.
func formatNames(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}
