package tally

import (
	"slices"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// Network makes the figures of what was added up.
func (t *Tally) Network() socket.Network {
	if !t.Once {
		t.compact(t.forget)
	}
	n := socket.Network{
		Owner:       socket.Owner{Kind: socket.OwnerHost},
		Settings:    t.settings(),
		Detailed:    true,
		BindUnknown: t.Windows,
		States:      t.states,
		UDPSockets:  t.udpSockets,
		UDPInUse:    t.udpHeld(),
	}
	t.serve()
	n.Destinations = t.destinations()
	t.ports(&n)
	return n
}

// settings are the range, and on Linux what the kernel comes with.
func (t *Tally) settings() socket.Settings {
	s := socket.Settings{Range: t.Range, Reserved: t.Reserved.CountIn(t.Range)}
	if t.UDP != t.Range || t.ReservedUDP != nil {
		s.UDP = &socket.UDPSettings{Range: t.UDP, Reserved: t.ReservedUDP.CountIn(t.UDP)}
	}
	if t.Windows {
		s.TriesEveryPort = true
		return s
	}
	s.Reuse, s.ReuseDelay, s.Timestamps = socket.ReuseLoopback, time.Second, true
	return s
}

func (t *Tally) udpHeld() int {
	free := t.udp
	free.RemoveAll(t.ReservedUDP)
	return free.CountIn(t.UDP)
}

// serve finds the ports that something listens on, seen or told by a connection that
// the other side opened.
func (t *Tally) serve() {
	t.serving = t.listening
	for _, h := range t.sockets {
		t.connected.Add(h.port())
		p := &t.pools[h.pool()]
		if h.state() != farTimeWait && !t.client(h.port(), p.to.Port(), h.state(), p.source == p.to.Addr()) {
			t.serving.Add(h.port())
		}
	}
}

// lost says that h's port is lost to every destination: its socket is in no pool.
func (t *Tally) lost(h held) bool {
	return t.serving.Contains(h.port()) || !t.Windows && t.bound.Contains(h.port())
}

// destinations count the sockets of each pool.
func (t *Tally) destinations() []socket.Destination {
	list := make([]socket.Destination, len(t.pools))
	for at, p := range t.pools {
		list[at].Source, list[at].Address, list[at].Port = p.source, p.to.Addr(), p.to.Port()
	}
	for _, h := range t.sockets {
		if !t.lost(h) {
			take(&list[h.pool()], h.state())
		}
	}
	for i := range list {
		t.reusable(&list[i])
	}
	return slices.DeleteFunc(list, func(d socket.Destination) bool { return d.States == tcpstate.Counts{} })
}

func take(d *socket.Destination, s tcpstate.State) {
	switch s {
	case oldTimeWait:
		d.ReusableIfAll++
		s = tcpstate.TimeWait
	case farTimeWait:
		d.Reusable++
		s = tcpstate.TimeWait
	}
	d.States[s]++
}

// reusable decides which of TIME_WAIT connect() could take over: on Linux those over
// loopback (tcp_tw_reuse is 2), and if it were 1, those that are old enough; on Windows
// those that are the far end's.
func (t *Tally) reusable(d *socket.Destination) {
	if !t.Windows && (d.Source.IsLoopback() || d.Address.IsLoopback()) {
		young := uint32(0)
		if t.timers > 0 {
			young = d.States[tcpstate.TimeWait] - d.ReusableIfAll
		}
		d.Reusable = d.States[tcpstate.TimeWait] - young
	}
	d.ReusableIfAll = max(d.ReusableIfAll, d.Reusable)
}

// ports counts the ports of the range. On Windows a port shows as bound while a
// connection has it, too: only one without is certainly lost to every destination.
func (t *Tally) ports(n *socket.Network) {
	held, lost := t.connected, t.bound
	if t.Windows {
		lost.RemoveAll(&t.connected)
	}
	lost.AddAll(&t.serving)
	held.AddAll(&t.bound)
	held.AddAll(&t.serving)
	n.InUse, n.Skipped, n.SkippedListening = t.free(held), t.free(lost), t.free(t.serving)
	n.ListenPorts = t.listenPorts()
}

// free is how many of ports connect() could choose otherwise.
func (t *Tally) free(ports ports.Set) int {
	ports.RemoveAll(t.Reserved)
	return ports.CountIn(t.Range)
}

// maxListenPorts is how many ports Network.ListenPorts names.
const maxListenPorts = 8

func (t *Tally) listenPorts() (list []uint16) {
	for port := int(t.Range.First); port <= int(t.Range.Last) && len(list) < maxListenPorts; port++ {
		if t.serving.Contains(uint16(port)) && !t.Reserved.Contains(uint16(port)) {
			list = append(list, uint16(port))
		}
	}
	return list
}

// Taken is every port that a TCP socket has, or a UDP one, whatever the range: valid
// after Network.
func (t *Tally) Taken(p socket.Protocol) *ports.Set {
	if p == socket.UDP {
		return &t.udp
	}
	all := t.listening
	all.AddAll(&t.connected)
	all.AddAll(&t.bound)
	return &all
}

// Holders are how many sockets of p each holder has, by its number, valid after
// Network: where any port may be lost to p, those of every destination.
func (t *Tally) Holders(p socket.Pool) (counts [MaxHolders + 1]int) {
	for _, h := range t.sockets {
		if t.lost(h) || h.holder() == 0 {
			continue
		}
		if !p.Network.BindUnknown && !t.of(p, h) {
			continue
		}
		counts[h.holder()]++
	}
	return counts
}

func (t *Tally) of(p socket.Pool, h held) bool {
	of, d := &t.pools[h.pool()], p.Destination
	return d != nil && d.Source == of.source && d.Address == of.to.Addr() && d.Port == of.to.Port()
}
