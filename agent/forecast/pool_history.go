package forecast

import (
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

const (
	// noisePercent is the share of a pool, in percent, by which it has to fall for that not to
	// be noise.
	noisePercent = 5
	// stillFullPercent is the share of a pool, in percent, at which one that was full still is,
	// as ports that come back are taken at once.
	stillFullPercent = 98
)

// poolHistory is what was seen of one pool.
type poolHistory struct {
	lifetime    time.Duration // of TIME_WAIT
	lastAt      time.Time     // of the last look
	observations  []observation       // older ones first, at most as far back as the longest look
	queue   drainQueue
	usedPercent float64 // in use
	free    float64
	capacity    float64 // of the pool
	isFull    bool
	isDescending    bool
	highPercent    float64 // the most on the way up
	lowPercent     float64 // the least on the way down
	peakPercent    float64 // what it came back from, without having run out
	peakAt  time.Time
	evaluatedAt  time.Time // when it was last asked for a forecast
	exhaustionSince time.Time // since when an end is in sight
}

// observation is a look at a pool.
type observation struct {
	at     time.Time
	used   float64
	persistent   float64 // ports in use that don't drain
	inflow float64 // sockets into the queue since the first point
}

func newPoolHistory(life time.Duration) *poolHistory { return &poolHistory{lifetime: life, queue: drainQueue{lifetime: life}} }

// addPool takes the next look.
func (t *poolHistory) addPool(at time.Time, p socket.Pool) {
	drains := countDraining(p)
	size, gap := float64(p.Capacity), at.Sub(t.lastAt)
	now := observation{at: at, used: float64(p.MaxUsed()), persistent: float64(p.MaxUsed()) - drains}
	switch {
	case size != t.capacity || gap <= 0 || gap > t.lifetime: // another pool, or one long out of sight
		*t = *newPoolHistory(t.lifetime)
		t.queue.fillEvenly(at, drains)
	default:
		now.inflow = t.observations[len(t.observations)-1].inflow + t.queue.setCount(t.lastAt, at, drains)
	}
	t.lastAt, t.capacity = at, size
	t.appendObservation(now)
	t.updateUsage(p)
}

// appendObservation adds a point, or replaces the last one when it is close to the one before.
func (t *poolHistory) appendObservation(p observation) {
	if n := len(t.observations); n > 1 && t.observations[n-1].at.Sub(t.observations[n-2].at) < t.lifetime/stepsPerLifetime/2 {
		t.observations = t.observations[:n-1]
	}
	t.observations = append(t.observations, p)
	far := p.at.Add(-t.lifetime * time.Duration(lookbacks[len(lookbacks)-1]))
	for len(t.observations) > 0 && t.observations[0].at.Before(far) {
		t.observations = t.observations[1:]
	}
}

// updateUsage follows the fill, and remembers what the pool came back from.
func (t *poolHistory) updateUsage(p socket.Pool) {
	t.free = float64(p.Headroom())
	t.usedPercent = 100
	if t.free > 0 {
		t.usedPercent = 100 * float64(p.MaxUsed()) / t.capacity
	}
	t.isFull = t.free == 0 || t.isFull && t.usedPercent >= stillFullPercent
	t.updatePeak()
}

// updatePeak follows the way up and down.
func (t *poolHistory) updatePeak() {
	if t.isDescending {
		t.lowPercent = min(t.lowPercent, t.usedPercent)
		if t.usedPercent >= t.lowPercent+noisePercent {
			t.isDescending, t.highPercent = false, t.usedPercent
		}
		return
	}
	t.highPercent = max(t.highPercent, t.usedPercent)
	if t.isFull {
		t.highPercent = 100
	}
	if t.usedPercent > t.highPercent-noisePercent {
		return
	}
	t.isDescending, t.lowPercent = true, t.usedPercent
	switch {
	case t.highPercent >= stillFullPercent: // it did run out
		t.peakPercent = 0
	case t.highPercent >= t.peakPercent-noisePercent || t.lastAt.Sub(t.peakAt) > Horizon:
		t.peakPercent, t.peakAt = t.highPercent, t.lastAt
	}
}

// countDraining is how many of the ports in use come back by time alone.
func countDraining(p socket.Pool) float64 {
	switch {
	case p.Protocol != socket.TCP:
		return 0
	case p.UsedMax > p.Used: // any port may be lost to this pool
		return computeDrainingShare(p.Network) * float64(p.UsedMax)
	case p.Destination != nil:
		return countDrainingTo(p.Destination)
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

func countDrainingTo(d *socket.Destination) float64 {
	waiting, reusable := d.States[tcpstate.TimeWait], d.Reusable
	if 2*reusable >= waiting { // reuse makes them short-lived, and they stay few
		waiting = 0
	} else {
		waiting -= reusable
	}
	return float64(waiting) + float64(d.States[tcpstate.FinWait2])
}

// computeDrainingShare is the share of n's connections that end by time alone, 0 to 1: that of
// its ports, where each connection has one of its own.
func computeDrainingShare(n *socket.Network) float64 {
	drains, all := 0.0, 0
	for i := range n.Destinations {
		drains += countDrainingTo(&n.Destinations[i])
		all += n.Destinations[i].States.Total()
	}
	return drains / float64(max(1, all))
}
