package forecast

import (
	"math"
	"slices"
	"time"

	"portreeve.io/portreeve/agent/socket"
)

// Looks back, in lives of TIME_WAIT, the short one first: it answers for what is
// near, the long one for what is far.
var looks = [...]int{1, 3, 6}

const (
	// ahead is how many times as far a forecast looks ahead as it looks back.
	ahead = 4
	// steps is in how many parts a life of TIME_WAIT is divided: the least time
	// between two points, and the step of an outlook.
	steps = 60
	// parts is in how many a look back is divided at most: what is less apart is
	// noise.
	parts = 20
	// least is the share of a pool, in percent, below which nothing is forecast: a
	// program that starts takes its connections at once.
	least = 25
	// drop is the share of a pool, in percent, by which it has to fall to have come
	// back, or to have been cut.
	drop = 10
	// filled is the share of a pool, in percent, at which one that was full still is,
	// as ports that come back are taken at once.
	filled = 98
)

// track is what was seen of one pool.
type track struct {
	life    time.Duration // of TIME_WAIT
	at      time.Time     // of the last look
	points  []point       // older ones first, at most as far back as the longest look
	queue   queue
	percent float64 // in use
	room    float64
	size    float64 // of the pool
	full    bool
	high    float64 // the most used since it last fell
	peak    float64 // what it came back from, without having run out
	peaked  time.Time
	ending  time.Time
}

// point is a look at a pool.
type point struct {
	at     time.Time
	rest   float64 // ports in use that don't drain
	inflow float64 // sockets into the queue since the first point
}

func newTrack(life time.Duration) *track { return &track{life: life, queue: queue{life: life}} }

// see takes the next look.
func (t *track) see(at time.Time, p socket.Pool) {
	drains := draining(p)
	size, gap := float64(p.Capacity), at.Sub(t.at)
	now := point{at: at, rest: float64(p.Used) - drains}
	switch {
	case size != t.size || gap <= 0 || gap > t.life: // another pool, or one long out of sight
		*t = *newTrack(t.life)
		t.queue.fill(at, drains)
	default:
		now.inflow = t.points[len(t.points)-1].inflow + t.queue.see(t.at, at, drains)
	}
	t.at, t.size = at, size
	t.keep(now)
	t.measure(p)
}

// keep adds a point, or replaces the last one when it is close to the one before.
func (t *track) keep(p point) {
	if n := len(t.points); n > 1 && t.points[n-1].at.Sub(t.points[n-2].at) < t.life/steps {
		t.points = t.points[:n-1]
	}
	t.points = append(t.points, p)
	far := p.at.Add(-t.life * time.Duration(looks[len(looks)-1]))
	for len(t.points) > 0 && t.points[0].at.Before(far) {
		t.points = t.points[1:]
	}
}

// measure follows the fill, and remembers what the pool came back from.
func (t *track) measure(p socket.Pool) {
	t.room = max(0, t.size-float64(p.Used)) // not Headroom, which leaves the most
	t.percent = 100
	if t.room > 0 {
		t.percent = 100 * float64(p.Used) / t.size
	}
	t.full = t.room == 0 || t.full && t.percent >= filled
	t.high = max(t.high, t.percent)
	if t.full {
		t.high = 100
	}
	if t.percent > t.high-drop {
		return
	}
	if t.high < filled {
		t.peak, t.peaked = t.high, t.at
	} else {
		t.peak = 0 // it did run out
	}
	t.high = t.percent
}

// draining is how many of the ports in use come back by time alone.
func draining(p socket.Pool) float64 {
	if p.Protocol != socket.TCP {
		return 0
	}
	if p.Destination != nil {
		s := p.Destination.States
		waiting, reusable := s[socket.TimeWait], p.Destination.Reusable
		if 2*reusable >= waiting { // reuse makes them short-lived, and they stay few
			waiting = 0
		} else {
			waiting -= reusable
		}
		return float64(waiting) + float64(s[socket.FinWait2])
	}
	// Whose ports these are isn't known. Those that no destination has are the best
	// guess; what of them has nothing to do with this pool mostly cancels out, as what
	// it adds here is missing from the rest.
	n := float64(p.Network.States[socket.TimeWait]) + float64(p.Network.States[socket.FinWait2])
	if p.Kind == socket.Connect {
		for i := range p.Network.Destinations {
			d := &p.Network.Destinations[i]
			n -= float64(d.States[socket.TimeWait]) + float64(d.States[socket.FinWait2])
		}
	}
	return n
}

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
	if t.percent < least || t.cameBack() {
		return f
	}
	for _, look := range looks {
		if s, ok := t.runsOut(look); ok {
			if t.ending.IsZero() {
				t.ending = t.at
			}
			if t.at.Sub(t.ending) >= t.life/6 {
				f.Seconds = new(int64(math.Ceil(s)))
			}
			return f
		}
	}
	t.ending = time.Time{}
	return f
}

// cameBack says whether the pool came back from here, or from just below, within the
// Horizon. One that does so again and again isn't running out.
func (t *track) cameBack() bool {
	if t.peak == 0 || t.at.Sub(t.peaked) > Horizon {
		return false
	}
	return t.percent < t.peak+min(drop, (100-t.peak)/2)
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
	trend, _ := slopeOf(t.rising(max(back, 3*t.life), churn.likely))
	span := -rest[0].at
	o := outlook{
		room: t.room, rest: rest[len(rest)-1].value,
		leaving: t.queue.leaving(t.at, steps), step: t.life.Seconds() / steps,
		churn: churn.likely, trend: trend.likely, trust: span, growth: growth.likely,
	}
	horizon := min(Horizon, time.Duration(ahead*span*float64(time.Second)))
	seconds, ok = o.runsOut(horizon)
	if !ok {
		return 0, false
	}
	o.churn, o.trend, o.growth = churn.least, trend.least, growth.least
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

// rising is the rates of a churn as far back as back, or to where it began: a step is
// no trend.
func (t *track) rising(back time.Duration, now float64) []sample {
	r := rates(thin(t.since(back), parts))
	for i, rate := range slices.Backward(r) {
		if rate.value < now/2 {
			return r[min(i+2, len(r)):] // that of the beginning has a share of the time before
		}
	}
	return r
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
