package dump

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"portreeve.io/portreeve/agent/socket"
)

// network makes the figures of what was added up. ends are the sockets of its
// destinations, in their order.
func (t *tally) network() (n socket.Network, ends [][]held) {
	n = socket.Network{
		Owner:       socket.Owner{Kind: socket.OwnerHost},
		Settings:    t.settings(),
		Detailed:    true,
		BindUnknown: t.windows,
		UDPSockets:  t.udpSockets,
		UDPHeld:     t.inRange(&t.udp),
	}
	for key, list := range t.pools {
		t.pools[key] = t.compact(key, list)
	}
	serving := t.serving()
	for key, list := range t.pools {
		list = slices.DeleteFunc(list, func(h held) bool {
			return serving.has(h.port()) || !t.windows && t.bound.has(h.port())
		})
		if len(list) > 0 {
			n.Destinations = append(n.Destinations, t.destination(key, list))
			ends = append(ends, list)
		}
	}
	n.States = t.states
	t.ports(&n, serving)
	return n, ends
}

// settings are the range, and on Linux what the kernel comes with.
func (t *tally) settings() socket.Settings {
	if t.windows {
		return socket.Settings{Range: t.ephemeral}
	}
	return socket.Settings{Range: t.ephemeral, Reuse: socket.ReuseLoopback, ReuseDelay: time.Second, Timestamps: true}
}

// serving is the ports that something listens on, seen or told by a connection that
// the other side opened.
func (t *tally) serving() *portSet {
	all := t.listening
	for key, list := range t.pools {
		for _, h := range list {
			t.connected.add(h.port())
			if h.state() != farTimeWait && !t.client(h.port(), key.port, h.state(), key.source == key.address) {
				all.add(h.port())
			}
		}
	}
	return &all
}

// destination counts the sockets of a pool. Which of TIME_WAIT connect() could take
// over: on Linux those over loopback (tcp_tw_reuse is 2), and if it were 1, those
// that are old enough; on Windows those that are the far end's.
func (t *tally) destination(key pool, list []held) socket.Destination {
	d := socket.Destination{Source: key.source, Address: key.address, Port: key.port}
	local := !t.windows && (key.source.IsLoopback() || key.address.IsLoopback())
	for _, h := range list {
		s := h.state()
		switch s {
		case oldTimeWait:
			d.ReusableIfAll++
		case farTimeWait:
			d.Reusable++
		}
		if s = min(s, socket.Bound); s == socket.Bound {
			s = socket.TimeWait
		}
		d.States[s]++
	}
	if local {
		young := uint32(0)
		if t.timers > 0 {
			young = d.States[socket.TimeWait] - d.ReusableIfAll
		}
		d.Reusable = d.States[socket.TimeWait] - young
	}
	d.ReusableIfAll = max(d.ReusableIfAll, d.Reusable)
	return d
}

// ports counts the ports of the range. On Windows a port shows as bound while a
// connection has it, too: only one without is certainly lost to every destination.
func (t *tally) ports(n *socket.Network, serving *portSet) {
	for w := range t.connected {
		mask := rangeMask(t.ephemeral, w)
		bound := t.bound[w]
		if t.windows {
			bound &^= t.connected[w]
		}
		n.Held += bits.OnesCount64(mask & (t.connected[w] | t.bound[w] | serving[w]))
		n.Skipped += bits.OnesCount64(mask & (bound | serving[w]))
		n.SkippedListening += bits.OnesCount64(mask & serving[w])
	}
	n.ListenPorts = t.listenPorts(serving)
}

// maxListenPorts is how many ports Network.ListenPorts names.
const maxListenPorts = 8

func (t *tally) listenPorts(serving *portSet) (list []uint16) {
	for port := int(t.ephemeral.First); port <= int(t.ephemeral.Last) && len(list) < maxListenPorts; port++ {
		if serving.has(uint16(port)) {
			list = append(list, uint16(port))
		}
	}
	return list
}

func (t *tally) inRange(p *portSet) int {
	n := 0
	for w := range p {
		n += bits.OnesCount64(p[w] & rangeMask(t.ephemeral, w))
	}
	return n
}

// rangeMask is the ports of r in the word w of a portSet.
func rangeMask(r socket.Range, w int) uint64 {
	first, last := max(int(r.First), w*64), min(int(r.Last), w*64+63)
	if first > last {
		return 0
	}
	return ^uint64(0) >> (63 - (last - first)) << (first - w*64)
}

// look tells who holds the ports of p: where any port may be lost to p, those of
// every destination.
func (t *tally) look(p socket.Pool, ends [][]held) *socket.Look {
	if len(t.holders.list) == 0 || p.Protocol == socket.UDP {
		return nil
	}
	var l socket.Look
	if d := p.Destination; d != nil {
		l.Source, l.Destination, l.Port = d.Source, d.Address, d.Port
	}
	counts := make([]int, len(t.holders.list)+1)
	for i, list := range ends {
		if d := &p.Network.Destinations[i]; d != p.Destination && !p.Network.BindUnknown {
			continue
		}
		for _, h := range list {
			counts[h.holder()]++
		}
	}
	for i, n := range counts[1:] {
		if n > 0 {
			h := t.holders.list[i]
			l.Holders = append(l.Holders, socket.Holder{Process: h.name, PID: h.pid, Sockets: n})
			l.Held += n
		}
	}
	slices.SortFunc(l.Holders, func(a, b socket.Holder) int {
		return cmp.Or(cmp.Compare(b.Sockets, a.Sockets), cmp.Compare(a.Process, b.Process), cmp.Compare(a.PID, b.PID))
	})
	l.Holders = l.Holders[:min(4, len(l.Holders))]
	return &l
}
