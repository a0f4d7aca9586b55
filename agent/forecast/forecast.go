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
	followed   = 16
	remembered = 2 * followed
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

	tracks map[key]*track
}

// key is a pool, through all samples.
type key struct {
	inode, cookie       uint64
	protocol            socket.Protocol
	kind                socket.Kind
	source, destination netip.Addr
	port                uint16
}

func keyOf(p socket.Pool) key {
	k := key{inode: p.Network.Inode, cookie: p.Network.Cookie, protocol: p.Protocol, kind: p.Kind}
	if d := p.Destination; d != nil {
		k.source, k.destination, k.port = d.Source, d.Address, d.Port
	}
	return k
}

// Follow takes the next sample and returns the forecast of its tightest pool.
func (h *History) Follow(s *socket.Sample) Forecast {
	pools := socket.SelectTightest(s.Pools(), followed)
	if len(pools) == 0 {
		return Forecast{}
	}
	for _, p := range pools {
		h.track(keyOf(p)).see(s.Taken, p)
	}
	h.forget()
	return h.tracks[keyOf(pools[0])].forecast()
}

func (h *History) track(k key) *track {
	if h.tracks == nil {
		h.tracks = map[key]*track{}
	}
	if h.tracks[k] == nil {
		h.tracks[k] = newTrack(cmp.Or(h.TimeWait, TimeWait))
	}
	return h.tracks[k]
}

// forget drops the pools that were not seen for the longest time.
func (h *History) forget() {
	if len(h.tracks) <= remembered {
		return
	}
	keys := make([]key, 0, len(h.tracks))
	for k := range h.tracks {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int { return h.tracks[b].at.Compare(h.tracks[a].at) })
	for _, k := range keys[remembered:] {
		delete(h.tracks, k)
	}
}
