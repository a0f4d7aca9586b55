package forecast

import (
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

const (
	// drop is the share of a pool, in percent, by which it has to fall for that not to
	// be noise.
	drop = 5
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
	down    bool
	high    float64 // the most on the way up
	low     float64 // the least on the way down
	peak    float64 // what it came back from, without having run out
	peaked  time.Time
	judged  time.Time // when it was last asked for a forecast
	sighted time.Time // since when an end is in sight
}

// point is a look at a pool.
type point struct {
	at     time.Time
	used   float64
	rest   float64 // ports in use that don't drain
	inflow float64 // sockets into the queue since the first point
}

func newTrack(life time.Duration) *track { return &track{life: life, queue: queue{life: life}} }

// see takes the next look.
func (t *track) see(at time.Time, p socket.Pool) {
	drains := draining(p)
	size, gap := float64(p.Capacity), at.Sub(t.at)
	now := point{at: at, used: float64(p.MaxUsed()), rest: float64(p.MaxUsed()) - drains}
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
	if n := len(t.points); n > 1 && t.points[n-1].at.Sub(t.points[n-2].at) < t.life/steps/2 {
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
	t.room = float64(p.Headroom())
	t.percent = 100
	if t.room > 0 {
		t.percent = 100 * float64(p.MaxUsed()) / t.size
	}
	t.full = t.room == 0 || t.full && t.percent >= filled
	t.turn()
}

// turn follows the way up and down.
func (t *track) turn() {
	if t.down {
		t.low = min(t.low, t.percent)
		if t.percent >= t.low+drop {
			t.down, t.high = false, t.percent
		}
		return
	}
	t.high = max(t.high, t.percent)
	if t.full {
		t.high = 100
	}
	if t.percent > t.high-drop {
		return
	}
	t.down, t.low = true, t.percent
	switch {
	case t.high >= filled: // it did run out
		t.peak = 0
	case t.high >= t.peak-drop || t.at.Sub(t.peaked) > Horizon:
		t.peak, t.peaked = t.high, t.at
	}
}

// draining is how many of the ports in use come back by time alone.
func draining(p socket.Pool) float64 {
	switch {
	case p.Protocol != socket.TCP:
		return 0
	case p.UsedMax > p.Used: // any port may be lost to this pool
		return drainingOf(p.Network) * float64(p.UsedMax)
	case p.Destination != nil:
		return drainingTo(p.Destination)
	}
	// Whose ports these are isn't known. Those that no destination has are the best
	// guess; what of them has nothing to do with this pool mostly cancels out, as what
	// it adds here is missing from the rest.
	n := float64(p.Network.States[tcpstate.TimeWait]) + float64(p.Network.States[tcpstate.FinWait2])
	if p.Kind == socket.Connect {
		for i := range p.Network.Destinations {
			d := &p.Network.Destinations[i]
			n -= float64(d.States[tcpstate.TimeWait]) + float64(d.States[tcpstate.FinWait2])
		}
	}
	return n
}

func drainingTo(d *socket.Destination) float64 {
	waiting, reusable := d.States[tcpstate.TimeWait], d.Reusable
	if 2*reusable >= waiting { // reuse makes them short-lived, and they stay few
		waiting = 0
	} else {
		waiting -= reusable
	}
	return float64(waiting) + float64(d.States[tcpstate.FinWait2])
}

// drainingOf is the share of n's connections that end by time alone, 0 to 1: that of
// its ports, where each connection has one of its own.
func drainingOf(n *socket.Network) float64 {
	drains, all := 0.0, 0
	for i := range n.Destinations {
		drains += drainingTo(&n.Destinations[i])
		all += n.Destinations[i].States.Total()
	}
	return drains / float64(max(1, all))
}
