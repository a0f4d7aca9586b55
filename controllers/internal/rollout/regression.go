package rollout

import (
	"fmt"
	"math"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// harmThreshold is the probability of harm at which the rollout stops.
const harmThreshold = 0.95

// These limit how much the past of one node weighs. A node without a known increase of
// pressure counts as if its last one was unknownPast ago. A node is restless if its last
// one was less than restlessPast before its update.
const (
	unknownPast  = 24 * time.Hour
	longestPast  = 7 * 24 * time.Hour
	restlessPast = 20 * time.Minute
)

// clockTolerance is the time by which a node's report may be in the future.
const clockTolerance = 2 * time.Minute

// detectRegression returns why the updated nodes have regressed, or an empty string.
func (c *rolloutState) detectRegression() string {
	started := c.progress.Batch.StartedAt
	if started == nil {
		return ""
	}
	e := evidence{batch: int(c.progress.Batch.Number)}
	var worse []string
	for _, n := range c.changed {
		if !n.settled || n.AgentSilent { // its report is from before the update
			continue
		}
		e.updated++
		if c.hasIncreaseSince(n, started.Time) {
			worse = append(worse, n.Name)
		}
	}
	e.worse = len(worse)
	if e.worse == 0 {
		return ""
	}
	minutes := max(1, c.Now.Sub(started.Time).Minutes())
	e.addPast(&c.progress.Batch, minutes)
	c.addOthers(&e, started.Time, minutes)
	harm := e.estimateHarm()
	if harm < harmThreshold {
		return ""
	}
	return formatRegression(e, worse, harm)
}

// addPast adds what is expected of the updated nodes by their past. As many increases as the
// restless nodes are likely to have are left out: no more than two standard deviations above
// their mean.
func (e *evidence) addPast(b *v1alpha1.RolloutBatch, minutes float64) {
	mean := float64(b.RestlessMicros) / 1e6 * minutes
	e.restless = min(int(b.RestlessNodes), int(math.Ceil(mean+2*math.Sqrt(mean))))
	if quiet := e.updated - int(b.RestlessNodes); quiet > 0 {
		e.chance = float64(b.ExpectedMicros) / 1e6 * minutes / float64(quiet)
	}
}

// addOthers adds the nodes that are selected but not updated yet.
func (c *rolloutState) addOthers(e *evidence, since time.Time, minutes float64) {
	rate, calm := 0.0, 0
	for _, n := range c.nodes {
		if n.upToDate || !n.Selected || n.AgentSilent {
			continue
		}
		e.others++
		if c.hasIncreaseSince(n, since) {
			e.worseOthers++
			continue
		}
		calm++
		rate += c.estimateRate(n)
	}
	if calm > 0 {
		e.chanceOthers = rate / float64(calm) * minutes
	}
}

func formatRegression(e evidence, worse []string, harm float64) string {
	message := fmt.Sprintf("regression: port pressure increased on %d/%d updated nodes (%s)", e.worse, e.updated, formatNames(worse))
	if e.others > 0 {
		message += fmt.Sprintf(" vs %d/%d nodes not yet updated", e.worseOthers, e.others)
	}
	return message + fmt.Sprintf("; the update is the cause with a probability of %.0f %%", min(99, math.Floor(harm*100)))
}

// hasIncreaseSince reports whether port pressure on the node increased after t. A time in
// the future comes from a wrong clock and is ignored.
func (c *rolloutState) hasIncreaseSince(n *nodeState, t time.Time) bool {
	last := n.findLastIncrease()
	return last.After(t) && last.Before(c.Now.Add(clockTolerance))
}

// estimateRate returns how often per minute port pressure increases on the node by chance,
// estimated from the time since its last increase: a node that flaps all day is expected
// to do so again.
func (c *rolloutState) estimateRate(n *nodeState) float64 {
	past := unknownPast
	if last := n.findLastIncrease(); !last.IsZero() && last.Before(c.Now.Add(clockTolerance)) {
		past = min(max(0, c.Now.Sub(last)), longestPast)
	}
	return 1 / (1 + past.Minutes())
}

// addExpected adds what is expected by chance of nodes that are about to be updated. Later
// increases do not change it: they may be an effect of the update.
func (c *rolloutState) addExpected(b *v1alpha1.RolloutBatch, nodes []*nodeState) {
	for _, n := range nodes {
		if !n.isGaining() {
			continue
		}
		rate := c.estimateRate(n)
		micros := int64(math.Round(rate * 1e6))
		if rate > 1/(1+restlessPast.Minutes()) {
			b.RestlessNodes++
			b.RestlessMicros += micros
		} else {
			b.ExpectedMicros += micros
		}
	}
}

// exceedsMaxFailed reports whether the update has failed on more nodes than allowed.
func (c *rolloutState) exceedsMaxFailed() bool {
	return len(c.failed) > c.computeMaxFailed(c.live)+int(c.progress.ToleratedFailures)
}

// describeFailures describes the failed updates.
func (c *rolloutState) describeFailures() string {
	n := c.failed[0]
	why := "its agent has not reported since the update"
	if n.Observed && len(n.failing) > 0 {
		why = "its settings could not be applied"
		for _, s := range n.failing {
			if s.State == v1alpha1.SettingFailed {
				why = fmt.Sprintf("%s could not be applied: %s", s.Key, s.Message)
				break
			}
		}
	}
	return fmt.Sprintf("failures: the update failed on %d nodes (%s), more than maxFailed (%d); on %s, %s",
		len(c.failed), formatNames(listNames(c.failed)), c.computeMaxFailed(c.live), n.Name, why)
}
