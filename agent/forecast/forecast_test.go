package forecast_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"portreeve.io/portreeve/agent/forecast"
)

// timedForecast is a forecast, with the time and the used ports of its sample.
type timedForecast struct {
	at      float64
	used    int
	seconds float64 // NaN without a forecast
}

// followLoad simulates a load for some seconds and samples it as the agent does, every 10 s,
// or every 2 s while more than half of the ports are used. Samples are up to a tenth late,
// one in 25 is missed, and one in 50 is late by a whole tick. It returns the forecasts, and
// the times of the first refused port of each series of refusals.
func followLoad(l load, seed uint64, seconds float64) (forecasts []timedForecast, refused []float64) {
	k := &simulatedKernel{load: l, random: rand.New(rand.NewPCG(seed, 1))}
	delays := rand.New(rand.NewPCG(seed, 2))
	var h forecast.History
	next, last := 0.0, -1.0
	for k.now < seconds {
		failed := k.failed
		k.advanceStep()
		if k.failed > failed && k.now-last > 1 {
			refused = append(refused, k.now)
		}
		if k.failed > failed {
			last = k.now
		}
		if k.now < next {
			continue
		}
		tick := 10.0
		if 2*k.countUsed() > k.capacity {
			tick = 2
		}
		next = k.now + tick*(1+0.1*delays.Float64())
		switch delays.IntN(50) {
		case 0:
			next += tick
		case 1, 2:
			continue
		}
		s := k.newSample()
		m := timedForecast{k.now, k.countUsed(), math.NaN()}
		if f := h.AddSample(&s); f.Seconds != nil {
			m.seconds = float64(*f.Seconds)
		}
		forecasts = append(forecasts, m)
	}
	return forecasts, refused
}

func zeroRate(float64) float64                 { return 0 }
func constant(n float64) func(float64) float64 { return func(float64) float64 { return n } }

// newRamp returns a generated load that exhausts its pool, of one of 8 kinds.
func newRamp(seed uint64) (kind string, l load) {
	r := rand.New(rand.NewPCG(seed, 7))
	between := func(a, b float64) float64 { return a + (b-a)*r.Float64() }
	l = load{capacity: []int{28232, 28232, 64000, 10000, 1000}[r.IntN(5)], churn: zeroRate, persistent: zeroRate,
		lifetime: between(0, 5), jitter: between(0, 0.002)}
	size := float64(l.capacity)
	base, took := size*between(0, 0.4), between(150, 1500)
	sustainable := (size - base) / 60
	line := func(t float64) float64 { return base + (size-base)*t/took }
	switch seed % 8 {
	case 0:
		kind, l.persistent = "a leak", line
	case 1:
		bend := between(0.2, 0.6)
		kind, l.persistent = "a leak that gets faster", func(t float64) float64 {
			return base + (size-base)*((1-bend)*t/took+bend*t*t/took/took)
		}
	case 2:
		// Connections stay open for long before TIME_WAIT; otherwise the pool would be
		// full within a minute.
		l.lifetime = between(60, 120)
		onset, rate := between(60, 200), (size-base)/(60+l.lifetime)*between(1.05, 1.3)
		kind, l.persistent, l.churn = "churn above sustainable", constant(base), func(t float64) float64 {
			if t < onset {
				return 0
			}
			return rate
		}
	case 3:
		a, b := between(0.3, 0.7), between(1.1, 1.6)
		kind, l.persistent, l.churn = "churn that rises", constant(base), func(t float64) float64 {
			return sustainable * (a + (b-a)*t/took)
		}
	case 4:
		rate := sustainable * between(0.1, 0.6)
		kind, l.churn, l.persistent = "a leak beside steady churn", constant(rate), line
	case 5:
		rate := sustainable * between(0.1, 0.3)
		kind, l.churn = "a leak beside churn that rises", func(t float64) float64 { return rate * (1 + t/took) }
		l.persistent = line
	case 6:
		noise, wave := between(0.005, 0.02), between(20, 90)
		kind, l.persistent = "a leak beside a pool that oscillates", func(t float64) float64 {
			return line(t) + size*noise*math.Sin(2*math.Pi*t/wave)
		}
	case 7:
		kind, l.reuse, l.churn, l.persistent = "a leak beside churn that is reused", true, constant(sustainable*between(0.2, 2)), line
	}
	return kind, l
}

func TestRampsAreForecastAMinuteAhead(t *testing.T) {
	errorsBy := map[string][]float64{}
	var all []float64
	const count = 96
	missing := 0
	for seed := range uint64(count) {
		kind, l := newRamp(seed)
		forecasts, refused := followLoad(l, seed, 1800)
		if len(refused) == 0 {
			t.Fatalf("seed %d, %s: the pool is never exhausted", seed, kind)
		}
		end := refused[0]
		i, _ := slices.BinarySearchFunc(forecasts, end-60, func(m timedForecast, at float64) int { return int(math.Copysign(1, m.at-at)) })
		i = max(0, i-1)
		left := end - forecasts[i].at
		if math.IsNaN(forecasts[i].seconds) {
			missing++
			errorsBy[kind] = append(errorsBy[kind], 1)
			all = append(all, 1)
			t.Logf("seed %d, %s: no forecast %.0f s ahead", seed, kind, left)
			continue
		}
		off := math.Abs(forecasts[i].seconds-left) / left
		errorsBy[kind] = append(errorsBy[kind], off)
		all = append(all, off)
	}
	for kind, e := range errorsBy {
		t.Logf("%-40s %2d ramps, median error %4.1f %%, worst %5.1f %%", kind, len(e), 100*computeMedian(e), 100*slices.Max(e))
	}
	t.Logf("all: %d ramps, median error %.1f %%, 90 %% within %.1f %%, %d without a forecast", count, 100*computeMedian(all), 100*computeQuantile(all, 0.9), missing)
	if m := computeMedian(all); m > 0.15 {
		t.Errorf("the median error is %.1f %%, want at most 15 %%", 100*m)
	}
}

func computeMedian(v []float64) float64 { return computeQuantile(v, 0.5) }

func computeQuantile(v []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

// newSustainableLoad returns a generated load that never exhausts its pool, of one of 7
// kinds. tooth is the duration of the first tooth of a sawtooth, which cannot be
// distinguished from a leak; it is 0 for other loads.
func newSustainableLoad(seed uint64) (kind string, l load, tooth float64) {
	r := rand.New(rand.NewPCG(seed, 9))
	between := func(a, b float64) float64 { return a + (b-a)*r.Float64() }
	l = load{capacity: []int{28232, 28232, 64000, 10000, 1000}[r.IntN(5)], churn: zeroRate, persistent: zeroRate,
		lifetime: between(0, 5), jitter: between(0, 0.002)}
	size := float64(l.capacity)
	base := size * between(0, 0.5)
	limit := (size - base) / (64 + l.lifetime)
	switch seed % 7 {
	case 0:
		rate, onset := limit*between(0.2, 0.93), between(0, 300)
		kind, l.persistent, l.churn = "churn that begins", constant(base), func(t float64) float64 {
			if t < onset {
				return 0
			}
			return rate
		}
	case 1:
		rate, on, off := limit*between(0.2, 0.93), between(5, 60), between(5, 90)
		kind, l.persistent, l.churn = "churn in bursts", constant(base), func(t float64) float64 {
			if math.Mod(t, on+off) < on {
				return rate
			}
			return 0
		}
	case 2:
		low, high, period := size*between(0.02, 0.3), size*between(0.4, 0.88), between(60, 500)
		tooth = period
		kind, l.persistent = "a sawtooth that fills and empties", func(t float64) float64 {
			return low + (high-low)*math.Mod(t, period)/period
		}
	case 3:
		phase, mean, swing := between(0, 86400), limit*between(0.3, 0.6), between(0.2, 0.5)
		kind, l.persistent, l.churn = "churn by the hour of the day", constant(base), func(t float64) float64 {
			return mean * (1 + swing*math.Sin(2*math.Pi*(t+phase)/86400))
		}
	case 4:
		phase, mean, swing := between(0, 86400), size*between(0.3, 0.6), between(0.2, 0.5)
		kind, l.persistent = "connections by the hour of the day", func(t float64) float64 {
			return mean * (1 + swing*math.Sin(2*math.Pi*(t+phase)/86400))
		}
	case 5:
		level, spread, at := size*between(0.3, 0.85), size*between(0.001, 0.02), 0.0
		walk := rand.New(rand.NewPCG(seed, 10))
		kind, l.persistent = "a pool that fluctuates", func(float64) float64 {
			at += -at*0.005 + spread*0.1*walk.NormFloat64()
			return level + at
		}
	case 6:
		level, at, took := size*between(0.3, 0.9), between(20, 300), between(0.1, 8)
		kind, l.persistent, l.churn = "a program that starts", func(t float64) float64 {
			return level * min(1, max(0, t-at)/took)
		}, zeroRate
	}
	return kind, l, tooth
}

func TestNothingIsForecastOfSustainableLoad(t *testing.T) {
	samples, wrong, first := map[string]int{}, map[string]int{}, 0
	for seed := range uint64(70) {
		kind, l, tooth := newSustainableLoad(seed)
		forecasts, refused := followLoad(l, seed, 2100)
		if len(refused) > 0 {
			t.Fatalf("seed %d, %s: not sustainable", seed, kind)
		}
		bad := ""
		for _, m := range forecasts {
			if m.at < tooth {
				if !math.IsNaN(m.seconds) {
					first++
				}
				continue
			}
			samples[kind]++
			if !math.IsNaN(m.seconds) {
				wrong[kind]++
				if bad == "" {
					bad = fmt.Sprintf("at %.0f s, %.0f %% used: exhaustion forecast in %.0f s", m.at, 100*float64(m.used)/float64(l.capacity), m.seconds)
				}
			}
		}
		if bad != "" {
			t.Errorf("seed %d, %s: %s", seed, kind, bad)
		}
	}
	for kind, n := range samples {
		t.Logf("%-36s %6d samples, %d forecasts", kind, n, wrong[kind])
	}
	t.Logf("in the first tooth of a sawtooth, which looks like a leak: %d forecasts", first)
}
