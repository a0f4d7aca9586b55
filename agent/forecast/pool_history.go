package forecast

import (
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

const (
	// noisePercent is the share of a pool, in percent, by which usage must change not to be noise.
	noisePercent = 5
	// stillFullPercent is the share of a pool, in percent, from which one that was full still
	// is, since freed ports are taken at once.
	stillFullPercent = 98
)

// poolHistory has the recent observations of one pool.
type poolHistory struct {
	lifetime        time.Duration // of TIME_WAIT
	lastAt          time.Time     // of the last observation
	observations    []observation // the oldest first, within the longest lookback
	queue           drainQueue
	usedPercent     float64
	free            float64 // ports
	capacity        float64 // ports
	isFull          bool
	isDescending    bool      // usage falls
	highPercent     float64   // maximum while usage rises
	lowPercent      float64   // minimum while usage falls
	peakPercent     float64   // usage from which it recovered without exhaustion
	peakAt          time.Time // time of peakPercent
	evaluatedAt     time.Time // time of the last forecast
	exhaustionSince time.Time // time since which exhaustion is predicted
}

// observation is the state of a pool in one sample.
type observation struct {
	at         time.Time
	used       float64
	persistent float64 // ports in use that don't drain
	inflow     float64 // sockets that entered the queue since the first observation
}

func newPoolHistory(life time.Duration) *poolHistory {
	return &poolHistory{lifetime: life, queue: drainQueue{lifetime: life}}
}

// addPool adds the pool of the next sample.
func (h *poolHistory) addPool(at time.Time, p socket.Pool) {
	drains := countDraining(p)
	size, gap := float64(p.Capacity), at.Sub(h.lastAt)
	now := observation{at: at, used: float64(p.MaxUsed()), persistent: float64(p.MaxUsed()) - drains}
	switch {
	case size != h.capacity || gap <= 0 || gap > h.lifetime: // another pool, or not observed for long
		*h = *newPoolHistory(h.lifetime)
		h.queue.fillEvenly(at, drains)
	default:
		now.inflow = h.observations[len(h.observations)-1].inflow + h.queue.setCount(h.lastAt, at, drains)
	}
	h.lastAt, h.capacity = at, size
	h.appendObservation(now)
	h.updateUsage(p)
}

// appendObservation adds an observation, or replaces the last one if it is close to the one
// before.
func (h *poolHistory) appendObservation(p observation) {
	if n := len(h.observations); n > 1 && h.observations[n-1].at.Sub(h.observations[n-2].at) < h.lifetime/stepsPerLifetime/2 {
		h.observations = h.observations[:n-1]
	}
	h.observations = append(h.observations, p)
	far := p.at.Add(-h.lifetime * time.Duration(lookbacks[len(lookbacks)-1]))
	for len(h.observations) > 0 && h.observations[0].at.Before(far) {
		h.observations = h.observations[1:]
	}
}

// updateUsage updates the usage, and the peak from which the pool recovered.
func (h *poolHistory) updateUsage(p socket.Pool) {
	h.free = float64(p.Headroom())
	h.usedPercent = 100
	if h.free > 0 {
		h.usedPercent = 100 * float64(p.MaxUsed()) / h.capacity
	}
	h.isFull = h.free == 0 || h.isFull && h.usedPercent >= stillFullPercent
	h.updatePeak()
}

// updatePeak updates the highest and lowest usage, and the peak.
func (h *poolHistory) updatePeak() {
	if h.isDescending {
		h.lowPercent = min(h.lowPercent, h.usedPercent)
		if h.usedPercent >= h.lowPercent+noisePercent {
			h.isDescending, h.highPercent = false, h.usedPercent
		}
		return
	}
	h.highPercent = max(h.highPercent, h.usedPercent)
	if h.isFull {
		h.highPercent = 100
	}
	if h.usedPercent > h.highPercent-noisePercent {
		return
	}
	h.isDescending, h.lowPercent = true, h.usedPercent
	switch {
	case h.highPercent >= stillFullPercent: // it was exhausted
		h.peakPercent = 0
	case h.highPercent >= h.peakPercent-noisePercent || h.lastAt.Sub(h.peakAt) > Horizon:
		h.peakPercent, h.peakAt = h.highPercent, h.lastAt
	}
}

// countDraining returns the number of ports in use that become free by time alone.
func countDraining(p socket.Pool) float64 {
	switch {
	case p.Protocol != socket.TCP:
		return 0
	case p.UsedMax > p.Used: // any port may be unavailable to this pool
		return computeDrainingShare(p.Network) * float64(p.UsedMax)
	case p.Destination != nil:
		return countDrainingTo(p.Destination)
	}
	// The connections that use these ports are not known. The best estimate is the
	// number of connections without a destination; unrelated ones among them mostly cancel
	// out, since a number added here is missing from the persistent ports.
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
	if 2*reusable >= waiting { // with reuse they are short-lived and remain few
		waiting = 0
	} else {
		waiting -= reusable
	}
	return float64(waiting) + float64(d.States[tcpstate.FinWait2])
}

// computeDrainingShare returns the share of n's connections that end by time alone, 0 to 1.
// It is also the share of its ports if each connection has a port of its own.
func computeDrainingShare(n *socket.Network) float64 {
	drains, all := 0.0, 0
	for i := range n.Destinations {
		drains += countDrainingTo(&n.Destinations[i])
		all += n.Destinations[i].States.Total()
	}
	return drains / float64(max(1, all))
}
