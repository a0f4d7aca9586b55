package forecast_test

import (
	"math"
	"math/rand/v2"
	"testing"
)

// newEndingRise returns a generated load that rises and then stays below exhaustion, of one
// of 4 kinds, and the time at which the rise ends.
func newEndingRise(seed uint64) (kind string, l load, end float64) {
	r := rand.New(rand.NewPCG(seed, 11))
	between := func(a, b float64) float64 { return a + (b-a)*r.Float64() }
	l = load{capacity: []int{28232, 28232, 64000, 10000, 1000}[r.IntN(5)], churn: zeroRate, persistent: zeroRate,
		lifetime: between(0, 5), jitter: between(0, 0.002)}
	size := float64(l.capacity)
	base := size * between(0, 0.25)
	level, begin := size*between(0.4, 0.84), between(30, 300)
	switch seed % 4 {
	case 0:
		took := between(20, 150)
		kind, end = "a ramp, then flat", begin+took
		l.persistent = func(t float64) float64 { return base + (level-base)*min(1, max(0, t-begin)/took) }
	case 1:
		tau := between(10, 80)
		kind, end = "a rise that saturates", begin+3*tau
		l.persistent = func(t float64) float64 { return base + (level-base)*(1-math.Exp(-max(0, t-begin)/tau)) }
	case 2:
		low, high := between(0.1, 0.4)*(level-base)/64, (level-base)/64
		kind, end, l.persistent = "a step in churn", begin+62+l.lifetime, constant(base)
		l.churn = func(t float64) float64 {
			if t < begin {
				return low
			}
			return high
		}
	case 3:
		steps, every := between(2, 5), between(10, 40)
		kind, end = "a rise in steps", begin+math.Floor(steps)*every
		l.persistent = func(t float64) float64 {
			n := min(math.Floor(steps), math.Ceil(max(0, t-begin)/every))
			return base + (level-base)*n/math.Floor(steps)
		}
	}
	return kind, l, end
}

// countAlerts returns how often the alert PortExhaustionPredicted (config/prometheus) fires,
// with a scrape every 30 s.
func countAlerts(forecasts []timedForecast) (alerts int) {
	const window, wait = 90, 180
	since := math.NaN()
	for at := 0.0; at < forecasts[len(forecasts)-1].at; at += 30 {
		lowest := math.Inf(1)
		for scrape := at; scrape > at-window && scrape >= 0; scrape -= 30 {
			if s := findForecastAt(forecasts, scrape); s < lowest {
				lowest = s
			}
		}
		switch {
		case lowest >= 900:
			since = math.NaN()
		case math.IsNaN(since):
			since = at
		case at-since >= wait:
			alerts++
			since = math.Inf(1)
		}
	}
	return alerts
}

// findForecastAt returns the forecast that a scrape sees, +Inf if there is none.
func findForecastAt(forecasts []timedForecast, at float64) float64 {
	last := math.Inf(1)
	for _, f := range forecasts {
		if f.at > at {
			break
		}
		last = f.seconds
	}
	if math.IsNaN(last) {
		return math.Inf(1)
	}
	return last
}

// A rise that ends below exhaustion, such as the warm-up of a connection pool, causes no
// alert, and a forecast that it causes ends soon after it.
func TestAForecastEndsWithTheRise(t *testing.T) {
	after := map[string][]float64{}
	var all []float64
	for seed := range uint64(200) {
		kind, l, end := newEndingRise(seed)
		forecasts, refused := followLoad(l, seed, 1200)
		if len(refused) > 0 {
			t.Fatalf("seed %d, %s: the pool is exhausted", seed, kind)
		}
		if last := findLastForecast(forecasts); !math.IsNaN(last) {
			after[kind] = append(after[kind], max(0, last-end))
			all = append(all, max(0, last-end))
		}
		if n := countAlerts(forecasts); n > 0 {
			t.Errorf("seed %d, %s: %d alerts, want none", seed, kind, n)
		}
	}
	for kind, a := range after {
		t.Logf("%-24s %2d loads with a forecast, which ends %3.0f s after the rise in the median, %3.0f s at most", kind, len(a), computeMedian(a), computeQuantile(a, 1))
	}
	t.Logf("all: %.0f s in the median, %.0f s at most", computeMedian(all), computeQuantile(all, 1))
	if len(all) < 50 {
		t.Errorf("%d loads have a forecast, which proves little; want 50 or more", len(all))
	}
	if m := computeMedian(all); m > 45 {
		t.Errorf("forecasts end %.0f s after the rise in the median, want at most 45 s", m)
	}
}

// findLastForecast returns the time of the last forecast, NaN if there is none.
func findLastForecast(forecasts []timedForecast) float64 {
	last := math.NaN()
	for _, f := range forecasts {
		if !math.IsNaN(f.seconds) {
			last = f.at
		}
	}
	return last
}

// Churn that steps from a sustainable rate to one above it exhausts the pool within one
// lifetime of TIME_WAIT, so there are few samples for a forecast.
func TestAStepInChurnIsForecast15SecondsAhead(t *testing.T) {
	const begin = 150
	churn := func(t float64) float64 {
		if t < begin {
			return 10
		}
		return 22
	}
	var ahead []float64
	for seed := range uint64(20) {
		forecasts, refused := followLoad(load{capacity: 1000, persistent: zeroRate, churn: churn}, seed, 300)
		if len(refused) == 0 {
			t.Fatalf("seed %d: the pool is never exhausted", seed)
		}
		first := 0.0
		for _, f := range forecasts {
			if f.at > begin && f.at < refused[0] && !math.IsNaN(f.seconds) {
				first = refused[0] - f.at
				break
			}
		}
		ahead = append(ahead, first)
	}
	t.Logf("the first forecast is %.0f s ahead in the median, %.0f s at least", computeMedian(ahead), computeQuantile(ahead, 0))
	if m := computeMedian(ahead); m < 15 {
		t.Errorf("the first forecast is %.0f s ahead in the median, want at least 15 s", m)
	}
}
