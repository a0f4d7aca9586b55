package forecast_test

import (
	"math"
	"testing"
)

// A leaking process exhausts the ports and ends some time later, repeatedly.
func TestEachRiseOfAFailingSawtoothIsForecast(t *testing.T) {
	const rise, full, size = 300.0, 60.0, 28232
	tooth := func(t float64) float64 { return math.Mod(t, rise+full) }
	forecasts, _ := followLoad(load{capacity: size, churn: zeroRate, jitter: 0.001, persistent: func(t float64) float64 {
		return size * (0.05 + min(1, tooth(t)/rise)) // slightly more than the capacity
	}}, 1, 6*(rise+full))
	var checked, accurate [6]int
	for _, m := range forecasts {
		n, at := int(m.at/(rise+full)), tooth(m.at)
		end := 0.95 * rise // of the free ports
		switch {
		case at >= end+1:
			if m.seconds != 0 {
				t.Errorf("tooth %d: %.0f s forecast for a full pool", n+1, m.seconds)
			}
		case at < 15 && !math.IsNaN(m.seconds):
			t.Errorf("tooth %d: %.0f s forecast %.0f s after the process ended", n+1, m.seconds, at)
		case at > 0.5*rise && at < end-1:
			checked[n]++
			if math.Abs(m.seconds-(end-at)) < 10 {
				accurate[n]++
			}
		}
	}
	for n := range checked {
		if checked[n] == 0 || accurate[n] < checked[n]*9/10 {
			t.Errorf("tooth %d: %d of %d forecasts in the second half of its rise are within 10 s", n+1, accurate[n], checked[n])
		}
	}
	t.Logf("forecasts within 10 s, of those in the second half of each rise: %d of %d", accurate, checked)
}

// Churn above the rate at which TIME_WAIT frees ports fills the pool; after it stops, the
// pool empties.
func TestARecoveringPoolHasNoForecast(t *testing.T) {
	const size, on, off = 28232, 150.0, 150.0
	for name, rate := range map[string]float64{"somewhat more": 600, "much more": 1500} {
		t.Run(name, func(t *testing.T) {
			forecasts, _ := followLoad(load{capacity: size, persistent: constant(4000), lifetime: 1, churn: func(t float64) float64 {
				if math.Mod(t, on+off) < on {
					return rate
				}
				return 0
			}}, 2, 4*(on+off))
			full, recovering := 0, 0
			for _, m := range forecasts {
				switch at := math.Mod(m.at, on+off); {
				case m.used == size:
					full++
					if m.seconds != 0 {
						t.Errorf("at %.0f s: %.0f s forecast for a full pool", m.at, m.seconds)
					}
				case at > on+2.5 && m.used < size*98/100:
					recovering++
					if !math.IsNaN(m.seconds) {
						t.Errorf("at %.0f s: %.0f s forecast for a recovering pool", m.at, m.seconds)
					}
				}
			}
			if full == 0 || recovering == 0 {
				t.Errorf("%d samples of a full pool, %d of a recovering one", full, recovering)
			}
			t.Logf("%d samples of a full pool, %d of a recovering one", full, recovering)
		})
	}
}
