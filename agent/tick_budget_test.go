package agent_test

import (
	"testing"
	"time"

	"portreeve.io/portreeve/agent"
)

func TestTickBudget(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		budget    agent.TickBudget
		costs     []time.Duration
		want      time.Duration
		stretched bool
	}{
		"cheap samples keep the interval":               {agent.TickBudget{Interval: 1000 * ms, BudgetPercent: 5}, []time.Duration{50 * ms}, 1000 * ms, false},
		"expensive samples take their share of the CPU": {agent.TickBudget{Interval: 1000 * ms, BudgetPercent: 5}, []time.Duration{200 * ms}, 4000 * ms, true},
		"one expensive sample among cheap ones":         {agent.TickBudget{Interval: 1000 * ms, BudgetPercent: 5}, []time.Duration{10 * ms, 170 * ms}, 1000 * ms, false},
		"the interval recovers":                         {agent.TickBudget{Interval: 1000 * ms, BudgetPercent: 5}, []time.Duration{100 * ms, 0, 0, 0}, 1000 * ms, false},
		"the interval is at most a minute":              {agent.TickBudget{Interval: 1000 * ms, BudgetPercent: 2}, []time.Duration{time.Minute}, time.Minute, true},
		"without a budget there is no limit":            {agent.TickBudget{Interval: 1000 * ms}, []time.Duration{time.Hour}, 1000 * ms, false},
	} {
		t.Run(name, func(t *testing.T) {
			var got time.Duration
			for _, cost := range c.costs {
				got = c.budget.NextInterval(cost)
			}
			if got != c.want || c.budget.IsStretched() != c.stretched {
				t.Errorf("wait %v, stretched %v; want %v, %v", got, c.budget.IsStretched(), c.want, c.stretched)
			}
		})
	}
}

func TestTheBudgetIsExceededOnlyAtTheMaximumTick(t *testing.T) {
	for cost, want := range map[time.Duration]bool{time.Second: false, 1200 * time.Millisecond: false, 2 * time.Second: true} {
		b := agent.TickBudget{Interval: 10 * time.Second, BudgetPercent: 2}
		b.NextInterval(cost)
		if got := b.IsExceeded(); got != want {
			t.Errorf("%v: exceeded: %v", cost, got)
		}
	}
	long := agent.TickBudget{Interval: 5 * time.Minute, BudgetPercent: 2}
	if got := long.NextInterval(2 * time.Second); got != 5*time.Minute || long.IsExceeded() {
		t.Errorf("a longer interval that was configured became %v", got)
	}
}
