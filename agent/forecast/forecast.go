// Package forecast estimates when the tightest pool of a machine will have no free ports,
// from the samples of the last minutes. It is pure: all times come from the samples.
//
// Ports in use are of two kinds. Those in TIME_WAIT (and orphans in FIN_WAIT2) drain: they
// become free a fixed time after they entered the state, so steady churn fills a pool to
// its rate times that duration and no further. All others persist until a program closes
// them. The first kind is modelled as a queue (drain_queue.go), the second as a line
// through the last minutes (slope.go). Both are projected into the future (projection.go)
// until no port is free.
package forecast

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"portreeve.io/portreeve/agent/socket"
)

// TimeWait is the mean duration of TIME_WAIT on Linux: TCP_TIMEWAIT_LEN (net/tcp.h), and the
// second that the timer wheel adds (60.0 to 62.1 s, measured with HZ 250).
const TimeWait = 61 * time.Second

// The bounds of a History: the number of pools of each sample that are followed, since the
// tightest may change, and the number of pools that are remembered.
const (
	maxFollowed   = 16
	maxRemembered = 2 * maxFollowed
)

// Forecast is the forecast for the tightest pool of a sample.
type Forecast struct {
	// Seconds is the time until no port is free if the trend continues; 0 if none is now. It
	// is nil if the pool will not be exhausted within Horizon, or if that is not known.
	Seconds *int64
	// OpensPerSecond is the recent rate at which ports were taken, whether they went to
	// TIME_WAIT or remain open. It is nil if there are too few samples.
	OpensPerSecond *float64
}

// Horizon is the maximum time ahead of a forecast.
const Horizon = 30 * time.Minute

// History has the tightest pools of recent samples. The zero value is an empty history
// with Linux's TIME_WAIT.
type History struct {
	// TimeWait is the duration of TIME_WAIT; 0 means the constant.
	TimeWait time.Duration

	pools map[poolID]*poolHistory
}

// poolID identifies a pool in all samples.
type poolID struct {
	inode, cookie       uint64
	protocol            socket.Protocol
	kind                socket.Kind
	source, destination netip.Addr
	port                uint16
}

func newPoolKey(p socket.Pool) poolID {
	k := poolID{inode: p.Network.Inode, cookie: p.Network.Cookie, protocol: p.Protocol, kind: p.Kind}
	if d := p.Destination; d != nil {
		k.source, k.destination, k.port = d.Source, d.Address, d.Port
	}
	return k
}

// AddSample adds a sample and returns the forecast for its tightest pool.
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

func (h *History) findOrCreate(k poolID) *poolHistory {
	if h.pools == nil {
		h.pools = map[poolID]*poolHistory{}
	}
	if h.pools[k] == nil {
		h.pools[k] = newPoolHistory(cmp.Or(h.TimeWait, TimeWait))
	}
	return h.pools[k]
}

// removeOldest removes the pools that were not seen for the longest time.
func (h *History) removeOldest() {
	if len(h.pools) <= maxRemembered {
		return
	}
	keys := make([]poolID, 0, len(h.pools))
	for k := range h.pools {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b poolID) int { return h.pools[b].lastAt.Compare(h.pools[a].lastAt) })
	for _, k := range keys[maxRemembered:] {
		delete(h.pools, k)
	}
}
