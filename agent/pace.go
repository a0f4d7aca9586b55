package agent

import "time"

// Pace spaces samples, so that they never take more than a share of one CPU:
// on a node with millions of sockets the tick gets longer instead.
type Pace struct {
	// Interval is the wished time from one sample to the next.
	Interval time.Duration
	// BudgetPercent is the share of one CPU that samples may take; 0 is no limit.
	BudgetPercent int

	cost time.Duration // of recent samples, an average that forgets
}

// After is how long to wait from the start of a sample that took cost until the
// next one.
func (p *Pace) After(cost time.Duration) time.Duration {
	if p.cost == 0 {
		p.cost = cost
	}
	// A single dear sample, when caches are cold, moves it by a quarter only.
	p.cost += (cost - p.cost) / 4
	return max(p.Interval, p.least())
}

// Stretched says that the budget, not Interval, sets the pace.
func (p *Pace) Stretched() bool { return p.least() > p.Interval }

func (p *Pace) least() time.Duration {
	if p.BudgetPercent <= 0 {
		return 0
	}
	return p.cost * 100 / time.Duration(p.BudgetPercent)
}
