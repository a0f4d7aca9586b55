package rollout

import (
	"fmt"
	"math"
	"time"
)

// regression begins the reason of a rollout that one stopped.
const regression = "regression: "

// chance is how likely it may be that changed nodes fare worse by accident.
const chance = 0.05

// regression says why the changed nodes fare worse, or nothing.
func (c *course) regression() string {
	if why := c.failure(); why != "" {
		return regression + why
	}
	since, _ := c.since()
	if since.IsZero() {
		return ""
	}
	var worse []string
	settled := 0
	for _, n := range c.changed {
		if !n.settled { // what it says now is of the time before
			continue
		}
		settled++
		if n.worseSince(n.at) {
			worse = append(worse, n.Name)
		}
	}
	others, untouched := c.untouched(since)
	if len(worse) == 0 || tail(len(worse), settled, others, untouched) >= chance {
		return ""
	}
	return regression + fmt.Sprintf("ports got short on %d of %d changed nodes (%s), on %d of %d others in the same time",
		len(worse), settled, some(worse), others, untouched)
}

// failure is a setting that a changed node could not apply.
func (c *course) failure() string {
	for _, n := range c.changed {
		for _, s := range n.bad {
			if n.failed && n.Observed {
				return fmt.Sprintf("%s could not be applied on %s: %s", s.Key, n.Name, s.Message)
			}
		}
	}
	return ""
}

// untouched counts the selected nodes that have nothing new, and those of them whose
// ports got short since t: a peak of traffic is nobody's fault.
func (c *course) untouched(t time.Time) (worse, all int) {
	for _, n := range c.nodes {
		if n.current || !n.Selected || n.Silent {
			continue
		}
		all++
		if n.worseSince(t) {
			worse++
		}
	}
	return worse, all
}

// tail is how likely it is that k or more of m nodes get worse where worse of all
// others did: the binomial distribution's upper tail. Without others any is too many.
func tail(k, m, worse, all int) float64 {
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
