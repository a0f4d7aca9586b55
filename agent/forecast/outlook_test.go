package forecast

import (
	"math"
	"testing"
	"time"
)

// Each of these begins with an empty queue, unless told.
func TestOutlook(t *testing.T) {
	full := make([]float64, 60)
	for i := range full {
		full[i] = 10
	}
	for name, c := range map[string]struct {
		o    outlook
		want float64 // NaN: never
	}{
		"nothing changes":                             {outlook{room: 100, rest: 5}, math.NaN()},
		"a leak":                                      {outlook{room: 100, growth: 2}, 50},
		"a leak past the horizon":                     {outlook{room: 100, growth: 0.05}, math.NaN()},
		"churn that levels off below":                 {outlook{room: 601, churn: 10}, math.NaN()},
		"churn that doesn't":                          {outlook{room: 599, churn: 10}, 59.9},
		"churn that is replaced":                      {outlook{room: 1, churn: 10, leaving: full}, math.NaN()},
		"more of it than leaves":                      {outlook{room: 100, churn: 12, leaving: full}, 50},
		"a leak beside churn that is replaced":        {outlook{room: 100, churn: 10, growth: 1, leaving: full}, 100},
		"churn that ends what stayed":                 {outlook{room: 100, rest: 50, churn: 10, growth: -10}, math.NaN()},
		"and goes on by new ones":                     {outlook{room: 100, rest: 50, churn: 12, growth: -10}, 50},
		"churn that rises":                            {outlook{room: 300, churn: 10, trend: 1, trust: 60, leaving: full}, 24.5},
		"churn whose rise isn't believed for so long": {outlook{room: 300, churn: 10, trend: 1, trust: 4, leaving: full}, math.NaN()},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.step = 1
			if c.o.leaving == nil {
				c.o.leaving = make([]float64, 60)
			}
			got, ok := c.o.runsOut(30 * time.Minute)
			if !ok {
				got = math.NaN()
			}
			if math.Abs(got-c.want) > 0.51 || math.IsNaN(got) != math.IsNaN(c.want) {
				t.Errorf("%.2f s, want %.2f", got, c.want)
			}
		})
	}
}
