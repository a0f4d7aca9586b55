package agent

import "time"

// maxTick is the maximum interval to which the budget extends a tick: what is older than a
// minute is of no use. Samples that would need more exceed the budget.
const maxTick = time.Minute

// TickBudget spaces samples so that they take at most a share of one CPU. On a node with
// millions of sockets the tick gets longer instead, up to maxTick.
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

// IsExceeded reports whether samples take more than the budget, because the tick has its
// maximum length.
func (b *TickBudget) IsExceeded() bool { return b.affordableInterval() > max(b.Interval, maxTick) }

func (b *TickBudget) minInterval() time.Duration { return min(b.affordableInterval(), maxTick) }

// affordableInterval returns the interval at which samples take exactly the budget.
func (b *TickBudget) affordableInterval() time.Duration {
	if b.BudgetPercent <= 0 {
		return 0
	}
	return b.averageCost * 100 / time.Duration(b.BudgetPercent)
}
