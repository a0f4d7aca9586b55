package rollout

import (
	"fmt"
	"math"
	"time"
)

// regressionPrefix begins the reason of a rollout that one stopped.
const regressionPrefix = "regression: "

// significance is how likely it may be that changed nodes fare worse by accident.
const significance = 0.05

// detectRegression says why the changed nodes fare worse, or nothing.
func (c *rolloutState) detectRegression() string {
	if why := c.findFailure(); why != "" {
		return regressionPrefix + why
	}
	since, _ := c.findSettleTimes()
	if since.IsZero() {
		return ""
	}
	var worse []string
	settled := 0
	for _, n := range c.updated {
		if !n.settled { // what it says now is of the time before
			continue
		}
		settled++
		if n.hasPressureSince(n.settledAt) {
			worse = append(worse, n.Name)
		}
	}
	others, untouched := c.countNotUpdated(since)
	if len(worse) == 0 || binomialTail(len(worse), settled, others, untouched) >= significance {
		return ""
	}
	return regressionPrefix + fmt.Sprintf("ports got short on %d of %d changed nodes (%s), on %d of %d others in the same time",
		len(worse), settled, formatNames(worse), others, untouched)
}

// findFailure is a setting that a changed node could not apply.
func (c *rolloutState) findFailure() string {
	for _, n := range c.updated {
		for _, s := range n.failing {
			if n.failed && n.Observed {
				return fmt.Sprintf("%s could not be applied on %s: %s", s.Key, n.Name, s.Message)
			}
		}
	}
	return ""
}

// countNotUpdated counts the selected nodes that have nothing new, and those of them whose
// ports got short since t: a peak of traffic is nobody's fault.
func (c *rolloutState) countNotUpdated(t time.Time) (worse, all int) {
	for _, n := range c.nodes {
		if n.upToDate || !n.Selected || n.AgentSilent {
			continue
		}
		all++
		if n.hasPressureSince(t) {
			worse++
		}
	}
	return worse, all
}

// binomialTail is how likely it is that k or more of m nodes get worse where worse of all
// others did: the binomial distribution's upper tail. Without others any is too many.
func binomialTail(k, m, worse, all int) float64 {
	if worse == 0 || all == 0 {
		return 0
	}
	p := float64(worse) / float64(all)
	sum, ways := 0.0, 1.0 // m over i
	for i := 0; i <= m; i++ {
		if i >= k {
			sum += ways * math.Pow(p, float64(i)) * math.Pow(1-p, float64(m-i))
		}
		ways = ways * float64(m-i) / float64(i+1)
	}
	return sum
}
