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

// unreadable: what can't be read holds what stands.
func unreadable(c *course) (*verdict, bool) {
	if c.Problem == "" || !c.Tuning.DeletionTimestamp.IsZero() {
		return nil, false
	}
	return stopped(v1alpha1.ReasonTuningUnreadable, c.Problem)
}

// releasing: a deleted one gives back at its pace; nobody soaks, nothing is braked,
// as someone has said so.
func releasing(c *course) (*verdict, bool) {
	if c.Tuning.DeletionTimestamp.IsZero() {
		return nil, false
	}
	left := 0
	for _, n := range c.nodes {
		if n.holds() {
			left++
		}
	}
	return &verdict{
		phase: v1alpha1.RolloutReleasing, reason: nodes(left) + " to be given back" + c.silent(),
		change: c.next(c.pending, len(c.pending)),
	}, true
}

// silent names agents that a release waits for.
func (c *course) silent() string {
	var names []string
	for _, n := range c.nodes {
		if n.Silent && len(n.Have) > 0 {
			names = append(names, n.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("; waiting for the silent agents of %s: to go without them, annotate the NodeTuning with %s=%d",
		some(names), AnnotationConfirm, c.Tuning.Generation)
}

// reverting: after a regression the changed ones give back, at the pace, and it ends
// there until someone edits the NodeTuning.
func reverting(c *course) (*verdict, bool) {
	if !c.before(v1alpha1.RolloutReverted) {
		return nil, false
	}
	return &verdict{phase: v1alpha1.RolloutReverted, stop: v1alpha1.ReasonRegressionFound, reason: c.Tuning.Status.Rollout.Reason, take: c.next(c.changed, len(c.changed))}, true
}

func paused(c *course) (*verdict, bool) {
	switch {
	case c.Tuning.Spec.Rollout.Paused:
		return stopped(v1alpha1.ReasonRolloutPaused, "spec.rollout.paused is true")
	case c.before(v1alpha1.RolloutPaused) && strings.HasPrefix(c.Tuning.Status.Rollout.Reason, regression):
		return stopped(v1alpha1.ReasonRegressionFound, c.Tuning.Status.Rollout.Reason)
	}
	return nil, false
}

// Brake is the share of a cluster's nodes, in percent, that may lose settings without
// a confirmation, other than by deleting the NodeTuning.
const Brake = 20

// AnnotationConfirm lets go what the brake holds.
const AnnotationConfirm = v1alpha1.AnnotationConfirmRelease

// Confirmed says whether someone has let go what is held of t as it is.
func Confirmed(t *v1alpha1.NodeTuning) bool {
	return t.Annotations[AnnotationConfirm] == strconv.FormatInt(t.Generation, 10)
}

// braked: a selector that went wrong, labels that vanished.
func braked(c *course) (*verdict, bool) {
	losing := 0
	for _, n := range c.nodes {
		if !n.current && n.loses() {
			losing++
		}
	}
	if losing < 2 || losing*100 <= c.ClusterNodes*Brake || Confirmed(c.Tuning) {
		return nil, false
	}
	return stopped(v1alpha1.ReasonReleaseHeld, fmt.Sprintf(
		"this would take settings from %s of %d at once, more than %d %%: if that is meant, annotate the NodeTuning with %s=%d",
		nodes(losing), c.ClusterNodes, Brake, AnnotationConfirm, c.Tuning.Generation))
}

// regressed: changed nodes fare worse than the others.
func regressed(c *course) (*verdict, bool) {
	if len(c.pending) == 0 {
		return nil, false
	}
	why := c.regression()
	switch {
	case why == "":
		return nil, false
	case c.Tuning.Spec.Rollout.OnRegression == v1alpha1.OnRegressionRevert:
		return &verdict{phase: v1alpha1.RolloutReverted, stop: v1alpha1.ReasonRegressionFound, reason: why, take: c.next(c.changed, len(c.changed))}, true
	}
	return stopped(v1alpha1.ReasonRegressionFound, why)
}

// settling: nodes in change take up the whole pace, or are the canaries.
func settling(c *course) (*verdict, bool) {
	if len(c.moving) == 0 || c.budget > 0 && !c.early() {
		return nil, false
	}
	phase := v1alpha1.RolloutRolling
	if c.early() {
		phase = v1alpha1.RolloutCanary
		if len(c.changed) < c.canaries && c.budget > 0 {
			return nil, false
		}
	}
	var names []string
	for _, n := range c.moving {
		names = append(names, n.Name)
	}
	return stand(phase, "in change: "+some(names))
}

// soaking: the canaries have changed, and are watched.
func soaking(c *course) (*verdict, bool) {
	if !c.early() || len(c.changed) < c.canaries || len(c.pending) == 0 {
		return nil, false
	}
	_, last := c.since()
	end := last.Add(c.soak)
	if c.Now.Before(end) {
		return &verdict{phase: v1alpha1.RolloutSoaking, reason: "the canaries are watched until " + clock(end), next: end}, true
	}
	if end = last.Add(patience * c.soak); c.Now.Before(end) && !slices.ContainsFunc(c.changed, (*node).traffic) {
		return &verdict{phase: v1alpha1.RolloutSoaking, next: end,
			reason: "inconclusive: the canaries saw no traffic; they are watched until they do, at most until " + clock(end)}, true
	}
	return nil, false
}

// canaries: the first ones to change, those that use most ports, since an idle one
// tells nothing.
func canaries(c *course) (*verdict, bool) {
	missing := c.canaries - len(c.changed)
	var gaining []*node
	for _, n := range c.pending {
		if n.Selected && len(n.Want) > 0 {
			gaining = append(gaining, n)
		}
	}
	if missing <= 0 || len(gaining) == 0 {
		return nil, false
	}
	slices.SortStableFunc(gaining, func(a, b *node) int { return cmp.Compare(b.used(), a.used()) })
	return &verdict{phase: v1alpha1.RolloutCanary, change: c.next(gaining, missing), reason: "canaries first"}, true
}

func batches(c *course) (*verdict, bool) {
	if len(c.pending) == 0 {
		return nil, false
	}
	return &verdict{phase: v1alpha1.RolloutRolling, change: c.next(c.pending, len(c.pending)),
		reason: nodes(len(c.pending)) + " to go"}, true
}

// restarting is the end: complete, but for restarts, and for silent agents.
func restarting(c *course) (*verdict, bool) {
	var waiting, silent []string
	for _, n := range c.nodes {
		if n.restart {
			waiting = append(waiting, n.Name)
		}
		if !n.current && n.Silent {
			silent = append(silent, n.Name)
		}
	}
	switch {
	case len(c.moving) > 0:
		return stand(v1alpha1.RolloutRolling, nodes(len(c.moving))+" in change")
	case len(silent) > 0:
		return stand(v1alpha1.RolloutRolling, "waiting for the silent agents of "+some(silent))
	case len(waiting) > 0:
		return stand(v1alpha1.RolloutAwaitingRestart, "to be restarted: "+some(waiting))
	}
	return stand(v1alpha1.RolloutComplete, "")
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

func nodes(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

// some names the first few.
func some(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}
