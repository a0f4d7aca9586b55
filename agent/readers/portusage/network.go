package portusage

import (
	"slices"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// BuildNetwork returns the usage counted so far.
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
		UDPInUse:    t.countUDPPorts(),
	}
	t.findServerPorts()
	n.Destinations = t.buildDestinations()
	t.countPorts(&n)
	return n
}

// buildSettings returns the range and, on Linux, the defaults of the kernel.
func (t *Counter) buildSettings() socket.Settings {
	s := socket.Settings{Range: t.Range, Reserved: t.Reserved.CountIn(t.Range)}
	if t.UDPRange != t.Range || t.ReservedUDP != nil {
		s.UDP = &socket.UDPSettings{Range: t.UDPRange, Reserved: t.ReservedUDP.CountIn(t.UDPRange)}
	}
	if t.Windows {
		s.TriesEveryPort = true
		return s
	}
	s.Reuse, s.ReuseDelay, s.Timestamps = socket.ReuseLoopback, time.Second, true
	return s
}

func (t *Counter) countUDPPorts() int {
	free := t.udp
	free.RemoveAll(t.ReservedUDP)
	return free.CountIn(t.UDPRange)
}

// findServerPorts finds the ports with a listener that is in the table, or that is inferred
// from a connection opened by the other side.
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

// isUnavailable reports whether connect() can't use h's port for any destination, so that
// its socket belongs to no pool.
func (t *Counter) isUnavailable(h pooledSocket) bool {
	return t.serverPorts.Contains(h.localPort()) || !t.Windows && t.bound.Contains(h.localPort())
}

// buildDestinations returns the number of sockets of each pool, by state.
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

// countReusable counts the sockets in TIME_WAIT whose ports connect() could reuse. On Linux
// these are sockets over loopback (tcp_tw_reuse is 2) or, if it were 1, those that are old
// enough; on Windows, those of the other end.
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

// countPorts counts the ports of the range that are in use. On Windows, a port that is used
// by a connection may also be listed as bound. Only a bound port without a connection is
// certainly unavailable to every destination.
func (t *Counter) countPorts(n *socket.Network) {
	inUse, unavailable := t.connected, t.bound
	if t.Windows {
		unavailable.RemoveAll(&t.connected)
	}
	unavailable.AddAll(&t.serverPorts)
	inUse.AddAll(&t.bound)
	inUse.AddAll(&t.serverPorts)
	n.InUse, n.Skipped, n.SkippedListening = t.countChoosable(inUse), t.countChoosable(unavailable), t.countChoosable(t.serverPorts)
	n.ListenPorts = t.listServerPorts()
}

// countChoosable counts the ports that connect() could choose if they were free.
func (t *Counter) countChoosable(ports ports.Set) int {
	ports.RemoveAll(t.Reserved)
	return ports.CountIn(t.Range)
}

// maxListenPorts limits Network.ListenPorts.
const maxListenPorts = 8

func (t *Counter) listServerPorts() (list []uint16) {
	for port := int(t.Range.First); port <= int(t.Range.Last) && len(list) < maxListenPorts; port++ {
		if t.serverPorts.Contains(uint16(port)) && !t.Reserved.Contains(uint16(port)) {
			list = append(list, uint16(port))
		}
	}
	return list
}

// CollectUsedPorts returns every port used by a socket of p, inside or outside the range.
// It is valid after BuildNetwork.
func (t *Counter) CollectUsedPorts(p socket.Protocol) *ports.Set {
	if p == socket.UDP {
		return &t.udp
	}
	all := t.listening
	all.AddAll(&t.connected)
	all.AddAll(&t.bound)
	return &all
}

// CountByHolder returns the number of sockets in p by holder number. If any socket may make
// a port unavailable to p, it counts the sockets of all destinations. It is valid after
// BuildNetwork.
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
