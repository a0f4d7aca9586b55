// Package forecast says when the tightest pool of a machine runs out of ports,
// from what was seen of it in the last minutes. It is pure: the clock is the
// samples'.
//
// Ports in use are of two kinds. Those in TIME_WAIT (and orphans in FIN_WAIT2)
// drain: they come back a fixed time after they went in, so a steady churn fills a
// pool to its rate times that time and no further. Everything else stays until a
// program lets go. The first kind is followed as a queue (queue.go), the second as
// a line through the last minutes (slope.go); both are carried on into the future
// (outlook.go) until no port is left.
package forecast

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"portreeve.io/portreeve/agent/socket"
)

// TimeWait is how long TIME_WAIT lasts on Linux (TCP_TIMEWAIT_LEN, net/tcp.h).
const TimeWait = time.Minute

// The bounds of a History: that many pools of each sample are followed, because
// the tightest may change, and that many are remembered.
const (
	maxFollowed   = 16
	maxRemembered = 2 * maxFollowed
)

// Forecast is what can be said of the tightest pool of a sample.
type Forecast struct {
	// Seconds is how long until no port is left, if it goes on like this; 0 when
	// none is. It is nil when the pool isn't running out within Horizon, and when
	// that can't be told.
	Seconds *int64
	// OpensPerSecond is how many ports a second were taken lately and given back to
	// TIME_WAIT, or not at all. It is nil when too little was seen.
	OpensPerSecond *float64
}

// Horizon is how far ahead a forecast looks.
const Horizon = 30 * time.Minute

// History follows the tightest pools from sample to sample. The zero value is the
// start, with TIME_WAIT as long as on Linux.
type History struct {
	// TimeWait is how long TIME_WAIT lasts; 0 is the constant.
	TimeWait time.Duration

	pools map[poolKey]*poolHistory
}

// poolKey is a pool, through all samples.
type poolKey struct {
	inode, cookie       uint64
	protocol            socket.Protocol
	kind                socket.Kind
	source, destination netip.Addr
	port                uint16
}

func newPoolKey(p socket.Pool) poolKey {
	k := poolKey{inode: p.Network.Inode, cookie: p.Network.Cookie, protocol: p.Protocol, kind: p.Kind}
	if d := p.Destination; d != nil {
		k.source, k.destination, k.port = d.Source, d.Address, d.Port
	}
	return k
}

// AddSample takes the next sample and returns the forecast of its tightest pool.
func (h *History) AddSample(s *socket.Sample) Forecast {
	pools := socket.SelectTightest(s.Pools(), maxFollowed)
	if len(pools) == 0 {
		return Forecast{}
	}
	for _, p := range pools {
		h.findOrCreate(newPoolKey(p)).addPool(s.Taken, p)
	}
	h.removeOldest()
	return h.pools[newPoolKey(pools[0])].computeForecast()
}

func (h *History) findOrCreate(k poolKey) *poolHistory {
	if h.pools == nil {
		h.pools = map[poolKey]*poolHistory{}
	}
	if h.pools[k] == nil {
		h.pools[k] = newPoolHistory(cmp.Or(h.TimeWait, TimeWait))
	}
	return h.pools[k]
}

// removeOldest drops the pools that were not seen for the longest time.
func (h *History) removeOldest() {
	if len(h.pools) <= maxRemembered {
		return
	}
	keys := make([]poolKey, 0, len(h.pools))
	for k := range h.pools {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b poolKey) int { return h.pools[b].lastAt.Compare(h.pools[a].lastAt) })
	for _, k := range keys[maxRemembered:] {
		delete(h.pools, k)
	}
}
