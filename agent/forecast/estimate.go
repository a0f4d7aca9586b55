package forecast

import (
	"math"
	"slices"
	"time"
)

// lookbacks are the periods from which a forecast is made, in lifetimes of TIME_WAIT. The
// short ones are for the near future, the long ones for the distant future.
var lookbacks = [...]int{1, 3, 6}

const (
	// horizonFactor is the ratio of the time ahead of a forecast to its lookback.
	horizonFactor = 4
	// stepsPerLifetime is the number of steps of a projection in a lifetime of TIME_WAIT.
	stepsPerLifetime = 60
	// maxIntervals is the maximum number of intervals of a lookback: differences over shorter
	// ones are noise.
	maxIntervals = 20
	// slowdownPercent is the share of a pool, in percent, by which a rise must slow down not to
	// be noise.
	slowdownPercent = 1
	// minForecastPercent is the usage of a pool, in percent, below which there is no forecast:
	// a program that starts opens its connections at once.
	minForecastPercent = 25
)

func (h *poolHistory) computeForecast() Forecast {
	var f Forecast
	if churn, ok := h.estimateChurn(); ok {
		growth, _ := estimateSlope(h.collectPersistent(h.lifetime))
		f.OpensPerSecond = new(max(0, churn.likely+growth.likely))
	}
	if h.isFull {
		f.Seconds = new(int64(0))
		return f
	}
	if seconds, ok := h.estimateRemaining(); h.isPersistent(seconds, ok) && h.usedPercent >= minForecastPercent && !h.hasRecovered() {
		f.Seconds = new(int64(math.Ceil(seconds)))
	}
	return f
}

// estimateRemaining returns the seconds until exhaustion, by the shortest lookback that
// predicts it. A longer lookback also has the time before a rise ended, so its forecast
// counts only for the time after that which a shorter one found to be safe.
func (h *poolHistory) estimateRemaining() (seconds float64, ok bool) {
	if h.usedPercent < minForecastPercent/2 || h.isFalling() {
		return 0, false
	}
	safe := 0.0
	for _, lifetimes := range lookbacks {
		e := h.estimateExhaustion(lifetimes)
		if e.isExpected {
			return e.seconds, e.seconds > safe
		}
		safe = max(safe, e.safeSeconds)
	}
	return 0, false
}

// isPersistent reports whether exhaustion, in so many seconds, has been predicted for a while,
// not only for a sample or two.
func (h *poolHistory) isPersistent(seconds float64, predicted bool) bool {
	if !predicted || h.lastAt.Sub(h.evaluatedAt) > h.lifetime/2 {
		h.exhaustionSince = time.Time{}
	}
	h.evaluatedAt = h.lastAt
	if predicted && h.exhaustionSince.IsZero() {
		h.exhaustionSince = h.lastAt
	}
	required := min((h.lifetime / 6).Seconds(), max((h.lifetime/20).Seconds(), seconds/8))
	return predicted && h.lastAt.Sub(h.exhaustionSince).Seconds() >= required
}

// hasRecovered reports whether the pool recovered from this usage, or one slightly below,
// within Horizon. A pool that does so repeatedly will not be exhausted.
func (h *poolHistory) hasRecovered() bool {
	if h.peakPercent == 0 || h.lastAt.Sub(h.peakAt) > Horizon {
		return false
	}
	return h.usedPercent < h.peakPercent+min(2*noisePercent, (100-h.peakPercent)/2)
}

// isFalling reports whether clearly fewer ports are in use than a moment ago. The load has
// decreased, which the rates show later because they look further back.
func (h *poolHistory) isFalling() bool {
	points := h.observationsSince(h.lifetime / 6)
	return points[0].used-points[len(points)-1].used > h.capacity*noisePercent/100
}

// exhaustion is the result of one lookback.
type exhaustion struct {
	// isExpected reports whether the pool is exhausted in seconds, also with all rates at
	// their lower bounds.
	isExpected bool
	seconds    float64
	// safeSeconds is the time within which the pool is not exhausted, even if the persistent
	// ports grow at the upper bound of their rate; 0 if that is not certain.
	safeSeconds float64
}

// estimateExhaustion estimates the exhaustion from a lookback.
func (h *poolHistory) estimateExhaustion(lifetimes int) exhaustion {
	churn, ok := h.estimateChurn()
	if !ok {
		return exhaustion{}
	}
	back := h.lifetime * time.Duration(lifetimes)
	persistent := h.collectPersistent(back)
	growth, ok := estimateSlope(persistent)
	if !ok {
		return exhaustion{}
	}
	trend, trendSeconds := h.estimateTrend(max(back, 3*h.lifetime), churn.likely)
	span := -persistent[0].at
	lag := h.lifetime.Seconds() / 4 // churn is that of the middle of its lookback
	p := projection{
		free: h.free, persistent: persistent[len(persistent)-1].value,
		drainSchedule: h.queue.computeDrainSchedule(h.lastAt, stepsPerLifetime), stepSeconds: h.lifetime.Seconds() / stepsPerLifetime,
		churn: churn.likely + trend.likely*lag, trend: trend.likely, trendSeconds: trendSeconds,
	}
	growth, p.decay = h.limitGrowth(back, growth)
	p.growth = growth.likely
	horizon := min(Horizon, time.Duration(horizonFactor*span*float64(time.Second)))
	seconds, ok := p.findExhaustion(horizon)
	if !ok {
		p.growth = growth.upperBound
		if _, isPossible := p.findExhaustion(horizon); isPossible {
			return exhaustion{}
		}
		return exhaustion{safeSeconds: horizon.Seconds()}
	}
	p.churn, p.trend, p.growth = churn.lowerBound+trend.lowerBound*lag, trend.lowerBound, growth.lowerBound
	_, ok = p.findExhaustion(Horizon)
	return exhaustion{isExpected: ok, seconds: seconds}
}

// limitGrowth returns the growth of the persistent ports at the last observation, and the
// share of it that is lost per second, if the rise saturates or has ended. Otherwise it
// returns growth. Ports that sockets in TIME_WAIT take over from open connections do not slow
// a rise down.
func (h *poolHistory) limitGrowth(back time.Duration, growth slope) (s slope, decay float64) {
	points := h.observationsSince(back)
	taken := compareThirds(points, func(o observation) float64 { return o.persistent + o.inflow })
	persistent := compareThirds(points, func(o observation) float64 { return o.persistent })
	noise := h.capacity * slowdownPercent / 100
	switch {
	case growth.likely <= 0 || taken.computeSlowdown() < noise || persistent.computeSlowdown() < noise:
		return growth, 0
	case persistent.after <= 0:
		return slope{}, 0
	}
	ratio := persistent.after / persistent.before
	now := persistent.after * ratio // after is the rate of half of the seconds ago
	return slope{now, min(now, growth.lowerBound), now}, -math.Log(ratio) / persistent.seconds
}

// rateChange has the mean increase per second of a value from the first to the second third
// of some observations, and from the second to the last. seconds is the time between the two.
type rateChange struct{ before, after, seconds float64 }

// computeSlowdown returns by how much less the value rose.
func (r rateChange) computeSlowdown() float64 { return (r.before - r.after) * r.seconds }

// compareThirds returns the zero value if there are too few points.
func compareThirds(points []observation, value func(observation) float64) rateChange {
	first, span := points[0].at, points[len(points)-1].at.Sub(points[0].at)
	var at, values, counts [3]float64
	for _, p := range points {
		i := min(2, int(3*p.at.Sub(first)/max(1, span)))
		at[i] += p.at.Sub(first).Seconds()
		values[i] += value(p)
		counts[i]++
	}
	for i := range counts {
		if counts[i] == 0 {
			return rateChange{}
		}
		at[i], values[i] = at[i]/counts[i], values[i]/counts[i]
	}
	return rateChange{
		before: (values[1] - values[0]) / (at[1] - at[0]), after: (values[2] - values[1]) / (at[2] - at[1]),
		seconds: (at[2] - at[0]) / 2,
	}
}

// estimateChurn returns the rate at which sockets entered the queue within the last half
// lifetime, or within the last eighth if the rate has increased clearly since; ok is false if
// there are fewer than 3 intervals.
func (h *poolHistory) estimateChurn() (s slope, ok bool) {
	rates := computeRates(downsamplePoints(h.observationsSince(h.lifetime/2), maxIntervals/2))
	if len(rates) < 3 {
		rates = computeRates(h.observations[max(0, len(h.observations)-4):])
	}
	if len(rates) < 3 {
		return slope{}, false
	}
	s = estimateMean(rates)
	latest := computeRates(h.observationsSince(h.lifetime / 8))
	if len(latest) < 3 {
		return s, true
	}
	if step := estimateMean(latest); 2*step.lowerBound-step.likely > s.likely { // by two standard errors
		return step, true
	}
	return s, true
}

// estimateTrend returns the increase per second of the churn, which is now so many sockets
// per second, and the period that it is based on. It looks back to the start of the churn,
// since a step is not a trend, and requires most of a lifetime of it.
func (h *poolHistory) estimateTrend(back time.Duration, now float64) (s slope, span float64) {
	rates := computeRates(downsamplePoints(h.observationsSince(back), maxIntervals))
	for i, rate := range slices.Backward(rates) {
		if rate.value < now/2 {
			rates = rates[min(i+2, len(rates)):] // the first one covers time before the start, too
			break
		}
	}
	if len(rates) > 0 {
		span = rates[len(rates)-1].at - rates[0].at
	}
	if span < h.lifetime.Seconds()*3/4 {
		return slope{}, 0
	}
	s, _ = estimateSlope(rates)
	return s, span
}

// observationsSince returns the observations of the last period.
func (h *poolHistory) observationsSince(back time.Duration) []observation {
	from := h.lastAt.Add(-back)
	i, _ := slices.BinarySearchFunc(h.observations, from, func(p observation, from time.Time) int { return p.at.Compare(from) })
	return h.observations[i:]
}

// collectPersistent returns the ports that don't drain, as far back as the period or their
// last drop, for example when a process exited.
func (h *poolHistory) collectPersistent(back time.Duration) (list []dataPoint) {
	points := h.observationsSince(back)
	first := len(points) - 1
	for low := points[first].persistent; first > 0 && points[first-1].persistent <= low+h.capacity*noisePercent/100; first-- {
		low = min(low, points[first-1].persistent)
	}
	for _, p := range downsamplePoints(points[first:], maxIntervals) {
		list = append(list, dataPoint{p.at.Sub(h.lastAt).Seconds(), p.persistent})
	}
	return list
}

// computeRates returns the rates at which sockets entered the queue between observations.
func computeRates(points []observation) (rates []dataPoint) {
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		took := b.at.Sub(a.at).Seconds()
		rates = append(rates, dataPoint{b.at.Sub(points[0].at).Seconds() - took/2, (b.inflow - a.inflow) / took})
	}
	return rates
}
