package forecast_test

import (
	"math"
	"testing"
)

// A leak whose process dies some time after it got no more ports, again and again.
func TestEachRiseOfAFailingSawtoothIsForecast(t *testing.T) {
	const rise, full, size = 300.0, 60.0, 28232
	tooth := func(t float64) float64 { return math.Mod(t, rise+full) }
	said, _ := followLoad(load{capacity: size, churn: zeroRate, jitter: 0.001, persistent: func(t float64) float64 {
		return size * (0.05 + min(1, tooth(t)/rise)) // wants a little more than there is
	}}, 1, 6*(rise+full))
	var told, good [6]int
	for _, m := range said {
		n, at := int(m.at/(rise+full)), tooth(m.at)
		end := 0.95 * rise // of ports
		switch {
		case at >= end+1:
			if m.seconds != 0 {
				t.Errorf("tooth %d: %.0f s are left of a full pool", n+1, m.seconds)
			}
		case at < 15 && !math.IsNaN(m.seconds):
			t.Errorf("tooth %d: %.0f s are left %.0f s after the process died", n+1, m.seconds, at)
		case at > 0.5*rise && at < end-1:
			told[n]++
			if math.Abs(m.seconds-(end-at)) < 10 {
				good[n]++
			}
		}
	}
	for n := range told {
		if told[n] == 0 || good[n] < told[n]*9/10 {
			t.Errorf("tooth %d: %d of %d forecasts in the second half of its rise are within 10 s", n+1, good[n], told[n])
		}
	}
	t.Logf("forecasts within 10 s, of those in the second half of each rise: %d of %d", good, told)
}

// Churn that wants more than TIME_WAIT gives back fills the pool; when it stops, the
// pool empties.
func TestARecoveringPoolHasNoForecast(t *testing.T) {
	const size, on, off = 28232, 150.0, 150.0
	for name, rate := range map[string]float64{"somewhat more": 600, "much more": 1500} {
		t.Run(name, func(t *testing.T) {
			said, _ := followLoad(load{capacity: size, persistent: constant(4000), lifetime: 1, churn: func(t float64) float64 {
				if math.Mod(t, on+off) < on {
					return rate
				}
				return 0
			}}, 2, 4*(on+off))
			full, recovering := 0, 0
			for _, m := range said {
				switch at := math.Mod(m.at, on+off); {
				case m.used == size:
					full++
					if m.seconds != 0 {
						t.Errorf("at %.0f s: %.0f s are left of a full pool", m.at, m.seconds)
					}
				case at > on+2 && m.used < size*98/100:
					recovering++
					if !math.IsNaN(m.seconds) {
						t.Errorf("at %.0f s: %.0f s are left of a pool that recovers", m.at, m.seconds)
					}
				}
			}
			if full == 0 || recovering == 0 {
				t.Errorf("%d looks at a full pool, %d at one that recovers", full, recovering)
			}
			t.Logf("%d looks at a full pool, %d at one that recovers", full, recovering)
		})
	}
}
