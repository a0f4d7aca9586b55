package portusage

import (
	"slices"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// BuildNetwork makes the figures of what was added up.
func (t *Counter) BuildNetwork() socket.Network {
	if !t.UniqueRows {
		t.removeDuplicates(t.uncountDuplicate)
	}
	n := socket.Network{
		Owner:       socket.Owner{Kind: socket.OwnerHost},
		Settings:    t.buildSettings(),
		Detailed:    true,
		BindUnknown: t.Windows,
		States:      t.states,
		UDPSockets:  t.udpSockets,
		UDPHeld:     t.countUDPPorts(),
	}
	t.findServerPorts()
	n.Destinations = t.buildDestinations()
	t.countPorts(&n)
	return n
}

// buildSettings are the range, and on Linux what the kernel comes with.
func (t *Counter) buildSettings() socket.Settings {
	s := socket.Settings{Range: t.Range, Reserved: t.Reserved.In(t.Range)}
	if t.UDPRange != t.Range || t.ReservedUDP != nil {
		s.UDP = &socket.UDPSettings{Range: t.UDPRange, Reserved: t.ReservedUDP.In(t.UDPRange)}
	}
	if t.Windows {
		s.EveryPort = true
		return s
	}
	s.Reuse, s.ReuseDelay, s.Timestamps = socket.ReuseLoopback, time.Second, true
	return s
}

func (t *Counter) countUDPPorts() int {
	free := t.udp
	free.RemoveAll(t.ReservedUDP)
	return free.In(t.UDPRange)
}

// findServerPorts finds the ports that something listens on, seen or told by a connection that
// the other side opened.
func (t *Counter) findServerPorts() {
	t.serverPorts = t.listening
	for _, h := range t.sockets {
		t.connected.Add(h.localPort())
		p := &t.pools[h.poolIndex()]
		if h.tcpState() != peerTimeWait && !t.isLocalClient(h.localPort(), p.to.Port(), h.tcpState(), p.source == p.to.Addr()) {
			t.serverPorts.Add(h.localPort())
		}
	}
}

// isUnavailable says that h's port is lost to every destination: its socket is in no pool.
func (t *Counter) isUnavailable(h pooledSocket) bool {
	return t.serverPorts.Has(h.localPort()) || !t.Windows && t.bound.Has(h.localPort())
}

// buildDestinations count the sockets of each pool.
func (t *Counter) buildDestinations() []socket.Destination {
	list := make([]socket.Destination, len(t.pools))
	for at, p := range t.pools {
		list[at].Source, list[at].Address, list[at].Port = p.source, p.to.Addr(), p.to.Port()
	}
	for _, h := range t.sockets {
		if !t.isUnavailable(h) {
			countState(&list[h.poolIndex()], h.tcpState())
		}
	}
	for i := range list {
		t.countReusable(&list[i])
	}
	return slices.DeleteFunc(list, func(d socket.Destination) bool { return d.States == tcpstate.Counts{} })
}

func countState(d *socket.Destination, s tcpstate.State) {
	switch s {
	case reusableTimeWait:
		d.ReusableIfAll++
		s = tcpstate.TimeWait
	case peerTimeWait:
		d.Reusable++
		s = tcpstate.TimeWait
	}
	d.States[s]++
}

// countReusable decides which of TIME_WAIT connect() could take over: on Linux those over
// loopback (tcp_tw_reuse is 2), and if it were 1, those that are old enough; on Windows
// those that are the far end's.
func (t *Counter) countReusable(d *socket.Destination) {
	if !t.Windows && (d.Source.IsLoopback() || d.Address.IsLoopback()) {
		young := uint32(0)
		if t.timers > 0 {
			young = d.States[tcpstate.TimeWait] - d.ReusableIfAll
		}
		d.Reusable = d.States[tcpstate.TimeWait] - young
	}
	d.ReusableIfAll = max(d.ReusableIfAll, d.Reusable)
}

// countPorts counts the ports of the range. On Windows a port shows as bound while a
// connection has it, too: only one without is certainly lost to every destination.
func (t *Counter) countPorts(n *socket.Network) {
	held, lost := t.connected, t.bound
	if t.Windows {
		lost.RemoveAll(&t.connected)
	}
	lost.AddAll(&t.serverPorts)
	held.AddAll(&t.bound)
	held.AddAll(&t.serverPorts)
	n.Held, n.Skipped, n.SkippedListening = t.countChoosable(held), t.countChoosable(lost), t.countChoosable(t.serverPorts)
	n.ListenPorts = t.listServerPorts()
}

// countChoosable is how many of ports connect() could choose otherwise.
func (t *Counter) countChoosable(ports ports.Set) int {
	ports.RemoveAll(t.Reserved)
	return ports.In(t.Range)
}

// maxListenPorts is how many ports Network.ListenPorts names.
const maxListenPorts = 8

func (t *Counter) listServerPorts() (list []uint16) {
	for port := int(t.Range.First); port <= int(t.Range.Last) && len(list) < maxListenPorts; port++ {
		if t.serverPorts.Has(uint16(port)) && !t.Reserved.Has(uint16(port)) {
			list = append(list, uint16(port))
		}
	}
	return list
}

// CollectUsedPorts is every port that a TCP socket has, or a UDP one, whatever the range: valid
// after Network.
func (t *Counter) CollectUsedPorts(p socket.Protocol) *ports.Set {
	if p == socket.UDP {
		return &t.udp
	}
	all := t.listening
	all.AddAll(&t.connected)
	all.AddAll(&t.bound)
	return &all
}

// CountByHolder are how many sockets of p each holder has, by its number, valid after
// Network: where any port may be lost to p, those of every destination.
func (t *Counter) CountByHolder(p socket.Pool) (counts [MaxHolders + 1]int) {
	for _, h := range t.sockets {
		if t.isUnavailable(h) || h.holderNumber() == 0 {
			continue
		}
		if !p.Network.BindUnknown && !t.isInPool(p, h) {
			continue
		}
		counts[h.holderNumber()]++
	}
	return counts
}

func (t *Counter) isInPool(p socket.Pool, h pooledSocket) bool {
	of, d := &t.pools[h.poolIndex()], p.Destination
	return d != nil && d.Source == of.source && d.Address == of.to.Addr() && d.Port == of.to.Port()
}
