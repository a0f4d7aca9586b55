package forecast

import (
	"math"
	"slices"
	"time"
)

// looks back, in lives of TIME_WAIT, the short one first: it answers for what is
// near, the long one for what is far.
var looks = [...]int{1, 3, 6}

const (
	// ahead is how many times as far a forecast looks ahead as it looks back.
	ahead = 4
	// steps is in how many parts a life of TIME_WAIT is divided, which are the steps
	// of an outlook.
	steps = 60
	// parts is in how many a look back is divided at most: what is less apart is
	// noise.
	parts = 20
	// least is the share of a pool, in percent, below which nothing is forecast: a
	// program that starts takes its connections at once.
	least = 25
)

func (t *track) forecast() Forecast {
	var f Forecast
	if churn, ok := t.churn(); ok {
		growth, _ := slopeOf(t.rest(t.life))
		f.OpensPerSecond = new(max(0, churn.likely+growth.likely))
	}
	if t.full {
		f.Seconds = new(int64(0))
		return f
	}
	if left, ok := t.left(); t.lasts(ok) && t.percent >= least && !t.cameBack() {
		f.Seconds = new(int64(math.Ceil(left)))
	}
	return f
}

// left is how many seconds of ports are left, by the shortest look that sees an end.
func (t *track) left() (seconds float64, ok bool) {
	if t.percent < least/2 || t.falling() {
		return 0, false
	}
	for _, look := range looks {
		if seconds, ok = t.runsOut(look); ok {
			return seconds, true
		}
	}
	return 0, false
}

// lasts says whether an end has been in sight for a while, and not for a look or two.
func (t *track) lasts(inSight bool) bool {
	if !inSight || t.at.Sub(t.judged) > t.life/2 {
		t.sighted = time.Time{}
	}
	t.judged = t.at
	if inSight && t.sighted.IsZero() {
		t.sighted = t.at
	}
	return inSight && t.at.Sub(t.sighted) >= t.life/6
}

// cameBack says whether the pool came back from here, or from just below, within the
// Horizon. One that does so again and again isn't running out.
func (t *track) cameBack() bool {
	if t.peak == 0 || t.at.Sub(t.peaked) > Horizon {
		return false
	}
	return t.percent < t.peak+min(2*drop, (100-t.peak)/2)
}

// falling says whether the pool has clearly fewer ports in use than a moment ago: the
// load went, which the rates, as they look further back, learn later.
func (t *track) falling() bool {
	points := t.since(t.life / 6)
	return points[0].used-points[len(points)-1].used > t.size*drop/100
}

// runsOut is when no port is left, judged by a look back. It counts only if the
// pool runs out as well when everything is at the low end of what is likely.
func (t *track) runsOut(look int) (seconds float64, ok bool) {
	churn, ok := t.churn()
	if !ok {
		return 0, false
	}
	back := t.life * time.Duration(look)
	rest := t.rest(back)
	growth, ok := slopeOf(rest)
	if !ok {
		return 0, false
	}
	trend, trust := t.trend(max(back, 3*t.life), churn.likely)
	span := -rest[0].at
	lag := t.life.Seconds() / 4 // churn is that of the middle of its look back
	o := outlook{
		room: t.room, rest: rest[len(rest)-1].value,
		leaving: t.queue.leaving(t.at, steps), step: t.life.Seconds() / steps,
		churn: churn.likely + trend.likely*lag, trend: trend.likely, trust: trust, growth: growth.likely,
	}
	horizon := min(Horizon, time.Duration(ahead*span*float64(time.Second)))
	seconds, ok = o.runsOut(horizon)
	if !ok {
		return 0, false
	}
	o.churn, o.trend, o.growth = churn.least+trend.least*lag, trend.least, growth.least
	_, ok = o.runsOut(Horizon)
	return seconds, ok
}

// churn is the rate at which sockets went into the queue within the last half of a
// life; ok is false where there are less than 3 points to tell it from.
func (t *track) churn() (s slope, ok bool) {
	r := rates(thin(t.since(t.life/2), parts/2))
	if len(r) < 3 {
		r = rates(t.points[max(0, len(t.points)-4):])
	}
	if len(r) < 3 {
		return slope{}, false
	}
	return mean(r), true
}

// trend is by how much a churn of now sockets a second rises a second. It looks back
// to where the churn began, as a step is no trend, and wants to have seen most of a
// life of it.
func (t *track) trend(back time.Duration, now float64) (s slope, span float64) {
	r := rates(thin(t.since(back), parts))
	for i, rate := range slices.Backward(r) {
		if rate.value < now/2 {
			r = r[min(i+2, len(r)):] // that of the beginning has a share of the time before
			break
		}
	}
	if len(r) > 0 {
		span = r[len(r)-1].at - r[0].at
	}
	if span < t.life.Seconds()*3/4 {
		return slope{}, 0
	}
	s, _ = slopeOf(r)
	return s, span
}

// since is the points of the last so long.
func (t *track) since(back time.Duration) []point {
	from := t.at.Add(-back)
	i, _ := slices.BinarySearchFunc(t.points, from, func(p point, from time.Time) int { return p.at.Compare(from) })
	return t.points[i:]
}

// rest is what doesn't drain, as far back as back, or to where it was last cut: a
// process died, say.
func (t *track) rest(back time.Duration) (rest []sample) {
	points := t.since(back)
	first := len(points) - 1
	for low := points[first].rest; first > 0 && points[first-1].rest <= low+t.size*drop/100; first-- {
		low = min(low, points[first-1].rest)
	}
	for _, p := range thin(points[first:], parts) {
		rest = append(rest, sample{p.at.Sub(t.at).Seconds(), p.rest})
	}
	return rest
}

// rates are those at which sockets went into the queue between each two points.
func rates(points []point) (rates []sample) {
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		took := b.at.Sub(a.at).Seconds()
		rates = append(rates, sample{b.at.Sub(points[0].at).Seconds() - took/2, (b.inflow - a.inflow) / took})
	}
	return rates
}
