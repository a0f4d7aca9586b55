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
	if seconds, ok := h.estimateRemaining(); h.isPersistent(ok) && h.usedPercent >= minForecastPercent && !h.hasRecovered() {
		f.Seconds = new(int64(math.Ceil(seconds)))
	}
	return f
}

// estimateRemaining returns the seconds until exhaustion, by the shortest lookback that
// predicts it.
func (h *poolHistory) estimateRemaining() (seconds float64, ok bool) {
	if h.usedPercent < minForecastPercent/2 || h.isFalling() {
		return 0, false
	}
	for _, lifetimes := range lookbacks {
		if seconds, ok = h.estimateExhaustion(lifetimes); ok {
			return seconds, true
		}
	}
	return 0, false
}

// isPersistent reports whether exhaustion has been predicted for a while, not only for a
// sample or two.
func (h *poolHistory) isPersistent(predicted bool) bool {
	if !predicted || h.lastAt.Sub(h.evaluatedAt) > h.lifetime/2 {
		h.exhaustionSince = time.Time{}
	}
	h.evaluatedAt = h.lastAt
	if predicted && h.exhaustionSince.IsZero() {
		h.exhaustionSince = h.lastAt
	}
	return predicted && h.lastAt.Sub(h.exhaustionSince) >= h.lifetime/6
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

// estimateExhaustion returns the seconds until exhaustion, estimated from a lookback. It
// counts only if the pool is also exhausted with all rates at their lower bounds.
func (h *poolHistory) estimateExhaustion(lifetimes int) (seconds float64, ok bool) {
	churn, ok := h.estimateChurn()
	if !ok {
		return 0, false
	}
	back := h.lifetime * time.Duration(lifetimes)
	persistent := h.collectPersistent(back)
	growth, ok := estimateSlope(persistent)
	if !ok {
		return 0, false
	}
	trend, trendSeconds := h.estimateTrend(max(back, 3*h.lifetime), churn.likely)
	span := -persistent[0].at
	lag := h.lifetime.Seconds() / 4 // churn is that of the middle of its lookback
	p := projection{
		free: h.free, persistent: persistent[len(persistent)-1].value,
		drainSchedule: h.queue.computeDrainSchedule(h.lastAt, stepsPerLifetime), stepSeconds: h.lifetime.Seconds() / stepsPerLifetime,
		churn: churn.likely + trend.likely*lag, trend: trend.likely, trendSeconds: trendSeconds, growth: growth.likely,
	}
	horizon := min(Horizon, time.Duration(horizonFactor*span*float64(time.Second)))
	seconds, ok = p.findExhaustion(horizon)
	if !ok {
		return 0, false
	}
	p.churn, p.trend, p.growth = churn.lowerBound+trend.lowerBound*lag, trend.lowerBound, growth.lowerBound
	_, ok = p.findExhaustion(Horizon)
	return seconds, ok
}

// estimateChurn returns the rate at which sockets entered the queue within the last half
// lifetime; ok is false if there are fewer than 3 observations.
func (h *poolHistory) estimateChurn() (s slope, ok bool) {
	rates := computeRates(downsamplePoints(h.observationsSince(h.lifetime/2), maxIntervals/2))
	if len(rates) < 3 {
		rates = computeRates(h.observations[max(0, len(h.observations)-4):])
	}
	if len(rates) < 3 {
		return slope{}, false
	}
	return estimateMean(rates), true
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
