package forecast

import (
	"math"
	"slices"
	"time"
)

// lookbacks back, in lives of TIME_WAIT, the short one first: it answers for what is
// near, the long one for what is far.
var lookbacks = [...]int{1, 3, 6}

const (
	// horizonFactor is how many times as far a forecast looks ahead as it looks back.
	horizonFactor = 4
	// stepsPerLifetime is in how many parts a life of TIME_WAIT is divided, which are the steps
	// of an outlook.
	stepsPerLifetime = 60
	// maxIntervals is in how many a look back is divided at most: what is less apart is
	// noise.
	maxIntervals = 20
	// minForecastPercent is the share of a pool, in percent, below which nothing is forecast: a
	// program that starts takes its connections at once.
	minForecastPercent = 25
)

func (t *poolHistory) computeForecast() Forecast {
	var f Forecast
	if churn, ok := t.estimateChurn(); ok {
		growth, _ := estimateSlope(t.collectPersistent(t.lifetime))
		f.OpensPerSecond = new(max(0, churn.likely+growth.likely))
	}
	if t.isFull {
		f.Seconds = new(int64(0))
		return f
	}
	if left, ok := t.estimateRemaining(); t.isPersistent(ok) && t.usedPercent >= minForecastPercent && !t.hasRecovered() {
		f.Seconds = new(int64(math.Ceil(left)))
	}
	return f
}

// estimateRemaining is how many seconds of ports are left, by the shortest look that sees an end.
func (t *poolHistory) estimateRemaining() (seconds float64, ok bool) {
	if t.usedPercent < minForecastPercent/2 || t.isFalling() {
		return 0, false
	}
	for _, look := range lookbacks {
		if seconds, ok = t.estimateExhaustion(look); ok {
			return seconds, true
		}
	}
	return 0, false
}

// isPersistent says whether an end has been in sight for a while, and not for a look or two.
func (t *poolHistory) isPersistent(inSight bool) bool {
	if !inSight || t.lastAt.Sub(t.evaluatedAt) > t.lifetime/2 {
		t.exhaustionSince = time.Time{}
	}
	t.evaluatedAt = t.lastAt
	if inSight && t.exhaustionSince.IsZero() {
		t.exhaustionSince = t.lastAt
	}
	return inSight && t.lastAt.Sub(t.exhaustionSince) >= t.lifetime/6
}

// hasRecovered says whether the pool came back from here, or from just below, within the
// Horizon. One that does so again and again isn't running out.
func (t *poolHistory) hasRecovered() bool {
	if t.peakPercent == 0 || t.lastAt.Sub(t.peakAt) > Horizon {
		return false
	}
	return t.usedPercent < t.peakPercent+min(2*noisePercent, (100-t.peakPercent)/2)
}

// isFalling says whether the pool has clearly fewer ports in use than a moment ago: the
// load went, which the rates, as they look further back, learn later.
func (t *poolHistory) isFalling() bool {
	points := t.observationsSince(t.lifetime / 6)
	return points[0].used-points[len(points)-1].used > t.capacity*noisePercent/100
}

// estimateExhaustion is when no port is left, judged by a look back. It counts only if the
// pool runs out as well when everything is at the low end of what is likely.
func (t *poolHistory) estimateExhaustion(look int) (seconds float64, ok bool) {
	churn, ok := t.estimateChurn()
	if !ok {
		return 0, false
	}
	back := t.lifetime * time.Duration(look)
	rest := t.collectPersistent(back)
	growth, ok := estimateSlope(rest)
	if !ok {
		return 0, false
	}
	trend, trust := t.estimateTrend(max(back, 3*t.lifetime), churn.likely)
	span := -rest[0].at
	lag := t.lifetime.Seconds() / 4 // churn is that of the middle of its look back
	o := projection{
		free: t.free, persistent: rest[len(rest)-1].value,
		drainSchedule: t.queue.computeDrainSchedule(t.lastAt, stepsPerLifetime), stepSeconds: t.lifetime.Seconds() / stepsPerLifetime,
		churn: churn.likely + trend.likely*lag, trend: trend.likely, trendSeconds: trust, growth: growth.likely,
	}
	horizon := min(Horizon, time.Duration(horizonFactor*span*float64(time.Second)))
	seconds, ok = o.findExhaustion(horizon)
	if !ok {
		return 0, false
	}
	o.churn, o.trend, o.growth = churn.lowerBound+trend.lowerBound*lag, trend.lowerBound, growth.lowerBound
	_, ok = o.findExhaustion(Horizon)
	return seconds, ok
}

// estimateChurn is the rate at which sockets went into the queue within the last half of a
// life; ok is false where there are less than 3 points to tell it from.
func (t *poolHistory) estimateChurn() (s slope, ok bool) {
	r := computeRates(downsamplePoints(t.observationsSince(t.lifetime/2), maxIntervals/2))
	if len(r) < 3 {
		r = computeRates(t.observations[max(0, len(t.observations)-4):])
	}
	if len(r) < 3 {
		return slope{}, false
	}
	return estimateMean(r), true
}

// estimateTrend is by how much a churn of now sockets a second rises a second. It looks back
// to where the churn began, as a step is no trend, and wants to have seen most of a
// life of it.
func (t *poolHistory) estimateTrend(back time.Duration, now float64) (s slope, span float64) {
	r := computeRates(downsamplePoints(t.observationsSince(back), maxIntervals))
	for i, rate := range slices.Backward(r) {
		if rate.value < now/2 {
			r = r[min(i+2, len(r)):] // that of the beginning has a share of the time before
			break
		}
	}
	if len(r) > 0 {
		span = r[len(r)-1].at - r[0].at
	}
	if span < t.lifetime.Seconds()*3/4 {
		return slope{}, 0
	}
	s, _ = estimateSlope(r)
	return s, span
}

// observationsSince is the points of the last so long.
func (t *poolHistory) observationsSince(back time.Duration) []observation {
	from := t.lastAt.Add(-back)
	i, _ := slices.BinarySearchFunc(t.observations, from, func(p observation, from time.Time) int { return p.at.Compare(from) })
	return t.observations[i:]
}

// collectPersistent is what doesn't drain, as far back as back, or to where it was last cut: a
// process died, say.
func (t *poolHistory) collectPersistent(back time.Duration) (rest []dataPoint) {
	points := t.observationsSince(back)
	first := len(points) - 1
	for low := points[first].persistent; first > 0 && points[first-1].persistent <= low+t.capacity*noisePercent/100; first-- {
		low = min(low, points[first-1].persistent)
	}
	for _, p := range downsamplePoints(points[first:], maxIntervals) {
		rest = append(rest, dataPoint{p.at.Sub(t.lastAt).Seconds(), p.persistent})
	}
	return rest
}

// computeRates are those at which sockets went into the queue between each two points.
func computeRates(points []observation) (rates []dataPoint) {
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		took := b.at.Sub(a.at).Seconds()
		rates = append(rates, dataPoint{b.at.Sub(points[0].at).Seconds() - took/2, (b.inflow - a.inflow) / took})
	}
	return rates
}
