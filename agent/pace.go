package agent

import "time"

// TickBudget spaces samples, so that they never take more than a share of one CPU:
// on a node with millions of sockets the tick gets longer instead.
type TickBudget struct {
	// Interval is the wished time from one sample to the next.
	Interval time.Duration
	// BudgetPercent is the share of one CPU that samples may take; 0 is no limit.
	BudgetPercent int

	averageCost time.Duration // of recent samples, an average that forgets
}

// NextInterval is how long to wait from the start of a sample that took cost until the
// next one.
func (p *TickBudget) NextInterval(cost time.Duration) time.Duration {
	if p.averageCost == 0 {
		p.averageCost = cost
	}
	// A single dear sample, when caches are cold, moves it by a quarter only.
	p.averageCost += (cost - p.averageCost) / 4
	return max(p.Interval, p.minInterval())
}

// IsStretched says that the budget, not Interval, sets the pace.
func (p *TickBudget) IsStretched() bool { return p.minInterval() > p.Interval }

func (p *TickBudget) minInterval() time.Duration {
	if p.BudgetPercent <= 0 {
		return 0
	}
	return p.averageCost * 100 / time.Duration(p.BudgetPercent)
}
