package forecast

import (
	"math"
	"testing"
	"time"
)

// Without a drainSchedule a case begins with an empty queue.
func TestFindExhaustion(t *testing.T) {
	full := make([]float64, 60)
	for i := range full {
		full[i] = 10
	}
	for name, c := range map[string]struct {
		o    projection
		want float64 // NaN without exhaustion
	}{
		"nothing changes":                             {projection{free: 100, persistent: 5}, math.NaN()},
		"a leak":                                      {projection{free: 100, growth: 2}, 50},
		"a leak beyond the horizon":                   {projection{free: 100, growth: 0.05}, math.NaN()},
		"churn that levels off below the limit":       {projection{free: 601, churn: 10}, math.NaN()},
		"churn that levels off above the limit":       {projection{free: 599, churn: 10}, 59.9},
		"churn equal to the drain":                    {projection{free: 1, churn: 10, drainSchedule: full}, math.NaN()},
		"churn above the drain":                       {projection{free: 100, churn: 12, drainSchedule: full}, 50},
		"a leak beside churn equal to the drain":      {projection{free: 100, churn: 10, growth: 1, drainSchedule: full}, 100},
		"churn that replaces persistent sockets":      {projection{free: 100, persistent: 50, churn: 10, growth: -10}, math.NaN()},
		"more churn that replaces persistent sockets": {projection{free: 100, persistent: 50, churn: 12, growth: -10}, 50},
		"churn that rises":                            {projection{free: 300, churn: 10, trend: 1, trendSeconds: 60, drainSchedule: full}, 24.5},
		"churn whose trend ends after 4 s":            {projection{free: 300, churn: 10, trend: 1, trendSeconds: 4, drainSchedule: full}, math.NaN()},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.stepSeconds = 1
			if c.o.drainSchedule == nil {
				c.o.drainSchedule = make([]float64, 60)
			}
			got, ok := c.o.findExhaustion(30 * time.Minute)
			if !ok {
				got = math.NaN()
			}
			if math.Abs(got-c.want) > 0.51 || math.IsNaN(got) != math.IsNaN(c.want) {
				t.Errorf("%.2f s, want %.2f", got, c.want)
			}
		})
	}
}
