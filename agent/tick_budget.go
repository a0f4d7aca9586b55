package agent

import "time"

// TickBudget spaces samples so that they never take more than a share of one CPU. On
// a node with millions of sockets the tick gets longer instead.
type TickBudget struct {
	// Interval is the desired time between the starts of two samples.
	Interval time.Duration
	// BudgetPercent is the share of one CPU that samples may take; 0 means no limit.
	BudgetPercent int

	averageCost time.Duration // moving average of the CPU time per sample
}

// NextInterval adds the CPU time of the last sample to the average and returns the time
// between the start of that sample and the start of the next one.
func (b *TickBudget) NextInterval(cost time.Duration) time.Duration {
	if b.averageCost == 0 {
		b.averageCost = cost
	}
	// One expensive sample, when caches are cold, moves the average by a quarter only.
	b.averageCost += (cost - b.averageCost) / 4
	return max(b.Interval, b.minInterval())
}

// IsStretched reports whether the budget makes the tick longer than Interval.
func (b *TickBudget) IsStretched() bool { return b.minInterval() > b.Interval }

func (b *TickBudget) minInterval() time.Duration {
	if b.BudgetPercent <= 0 {
		return 0
	}
	return b.averageCost * 100 / time.Duration(b.BudgetPercent)
}
