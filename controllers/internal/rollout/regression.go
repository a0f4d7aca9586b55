package rollout

import (
	"fmt"
	"math"
	"time"
)

// regressionPrefix begins the reason of a rollout that a regression stopped.
const regressionPrefix = "regression: "

// significance is the probability of a coincidence below which increased pressure on
// updated nodes counts as a regression.
const significance = 0.05

// detectRegression returns why the updated nodes have regressed, or an empty string.
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
		if !n.settled { // its report is from before the update
			continue
		}
		settled++
		if n.hasPressureSince(n.settledAt) {
			worse = append(worse, n.Name)
		}
	}
	worseOthers, others := c.countNotUpdated(since)
	if len(worse) == 0 || binomialTail(len(worse), settled, worseOthers, others) >= significance {
		return ""
	}
	const format = "port pressure increased on %d/%d updated nodes (%s) vs %d/%d nodes not yet updated"
	return regressionPrefix + fmt.Sprintf(format,
		len(worse), settled, formatNames(worse), worseOthers, others)
}

// findFailure describes the first setting that an updated node could not apply, if any.
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

// countNotUpdated returns how many selected nodes are not updated yet, and on how many
// of them pressure has increased since t. Both distinguish a regression from a general
// peak of traffic.
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

// binomialTail returns the probability that pressure increases on k or more of m nodes
// if it increases on each with the probability worse/all: the upper tail of the binomial
// distribution. It is 0 if worse or all is 0.
func binomialTail(k, m, worse, all int) float64 {
	if worse == 0 || all == 0 {
		return 0
	}
	p := float64(worse) / float64(all)
	sum, ways := 0.0, 1.0 // binomial coefficient of m and i
	for i := 0; i <= m; i++ {
		if i >= k {
			sum += ways * math.Pow(p, float64(i)) * math.Pow(1-p, float64(m-i))
		}
		ways = ways * float64(m-i) / float64(i+1)
	}
	return sum
}
