package rollout

import (
	"hash/fnv"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// A rollout measures its waits by adding up the intervals between its passes. An interval
// that is negative or much longer than the passes are apart does not prove that the time
// has passed: the clock may have been set, or another replica may have a different one. It
// counts for at most one tick, a small part of the wait.

// These are limits for ticks, the intervals at which the clock is read and written.
const (
	ticksPerWait = 20
	minTick      = time.Second
	maxTick      = time.Minute
	trustedTicks = 4
)

// computeTick returns the interval at which a wait is measured.
func computeTick(wait time.Duration) time.Duration {
	return min(max(wait/ticksPerWait, minTick), maxTick).Truncate(time.Second)
}

// measureInterval returns how much of the time between two readings of the clock counts.
func measureInterval(from *metav1.Time, to time.Time, tick time.Duration) time.Duration {
	if from == nil {
		return 0
	}
	switch d := to.Sub(from.Time); {
	case d < 0:
		return 0
	case d > trustedTicks*tick:
		return tick
	default:
		return d
	}
}

// advanceClock adds the time since the last pass to the waits that it belongs to.
func (c *rolloutState) advanceClock() {
	if !c.isUnderWay() {
		c.progress.Clock = v1alpha1.RolloutClock{}
		return
	}
	k := &c.progress.Clock
	was := *k
	seconds := int32(measureInterval(was.ReadAt, c.now().Time, computeTick(c.findWait())) / time.Second)
	k.ReadAt, k.Observing = c.now(), c.isObserving()
	k.Conclusive = k.Observing && c.isConclusive()
	switch k.ChangingHash = c.hashChanging(); {
	case k.ChangingHash != was.ChangingHash: // other nodes are changing, perhaps by other NodeTunings
		k.UpdatingSeconds = 0
	case len(c.changing) > 0:
		k.UpdatingSeconds += seconds
	}
	switch {
	case c.waitsOnPurpose():
		k.StalledSeconds = 0
	case k.Observing:
		if was.Observing {
			k.WaitedSeconds += seconds
		}
		if was.Conclusive && k.Conclusive {
			k.SoakedSeconds += seconds
		}
	default:
		k.StalledSeconds += seconds
	}
	if c.exceedsMaxFailed() {
		k.FailingSeconds += seconds
	} else {
		k.FailingSeconds = 0
	}
	c.markOverdue()
}

// hashChanging returns a hash of the names of the nodes that are changing, 0 without any.
func (c *rolloutState) hashChanging() int64 {
	if len(c.changing) == 0 {
		return 0
	}
	h := fnv.New32a()
	for _, n := range c.changing {
		_, _ = h.Write(append([]byte(n.Name), '/'))
	}
	return int64(h.Sum32())
}

// findWait returns the length of the wait that is being measured.
func (c *rolloutState) findWait() time.Duration {
	switch {
	case c.exceedsMaxFailed():
		return c.failureGrace()
	case c.isObserving():
		return c.findSoak()
	}
	return c.deadline
}

// waitsOnPurpose reports whether the rollout waits for a user, a window, its budget or
// other NodeTunings.
func (c *rolloutState) waitsOnPurpose() bool {
	switch {
	case c.isPaused || c.Pause != "" || c.Brake != "" || c.window.problem != "":
		return true
	case slices.ContainsFunc(c.changing, func(n *nodeState) bool { return n.changed || n.Restoring }):
		return false
	case len(c.changing) > 0:
		return true
	case len(c.pending) == 0 || c.isObserving() && !c.hasSoaked():
		return false
	}
	return !c.window.open || c.Budget == 0 || c.needsApproval()
}

// hasSoaked reports whether the current batch has been observed for long enough.
func (c *rolloutState) hasSoaked() bool {
	k, soak := c.progress.Clock, c.findSoak()
	if c.isCanaryStage() && len(c.pending) > 0 {
		return seconds(k.SoakedSeconds) >= soak || seconds(k.WaitedSeconds) >= maxSoaks*soak
	}
	return seconds(k.WaitedSeconds) >= soak
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// maxOverdue limits how many overdue nodes a status lists.
const maxOverdue = 32

// markOverdue lists the nodes that have been changing for too long, and removes those that
// have settled since.
func (c *rolloutState) markOverdue() {
	var names []string
	for _, n := range c.nodes {
		if n.overdue {
			names = append(names, n.Name)
		}
	}
	if seconds(c.progress.Clock.UpdatingSeconds) >= c.deadline {
		c.progress.Clock.UpdatingSeconds = 0
		for _, n := range c.changing {
			names = append(names, n.Name)
		}
	}
	c.progress.Overdue = names[:min(len(names), maxOverdue)]
}

// isStuck reports whether the rollout has made no progress for too long.
func (c *rolloutState) isStuck() bool {
	return c.isUnderWay() && seconds(c.progress.Clock.StalledSeconds) >= c.deadline
}

// recordProgress records that more updated nodes have settled than before.
func (c *rolloutState) recordProgress() {
	settled := int32(0)
	for _, n := range c.changed {
		settled += countIf(n.settled && !n.failed)
	}
	b := &c.progress.Batch
	if settled > b.SettledNodes {
		c.progress.LastProgressAt = c.now()
		c.progress.Clock.StalledSeconds, c.progress.Clock.UpdatingSeconds = 0, 0
	}
	b.SettledNodes = settled
}

// pickWakeUp returns when to plan again: at the latest when the clock must be read.
func (c *rolloutState) pickWakeUp(v *stepResult) time.Time {
	if !c.isUnderWay() || v.completes || c.waitsOnPurpose() {
		return v.reevaluateAt
	}
	tick := c.Now.Add(computeTick(c.findWait()))
	if v.reevaluateAt.IsZero() || tick.Before(v.reevaluateAt) {
		return tick
	}
	return v.reevaluateAt
}

// isReadingDue reports whether the clock must be written even if nothing else has changed.
func (c *rolloutState) isReadingDue(was, is *v1alpha1.RolloutClock) bool {
	if was.ReadAt == nil || is.ReadAt == nil {
		return was.ReadAt != is.ReadAt
	}
	if was.Observing != is.Observing || was.Conclusive != is.Conclusive {
		return true
	}
	d := is.ReadAt.Sub(was.ReadAt.Time)
	return d < 0 || d >= computeTick(c.findWait())
}
