package portusage

import (
	"iter"
	"net/netip"
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
	t.removePeers()
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
		switch isClient := t.isLocalClient(h.localPort(), p.to.Port(), h.tcpState(), p.source == p.to.Addr()); {
		case h.tcpState() == peerTimeWait:
		case !isClient:
			t.serverPorts.Add(h.localPort())
		case t.isChoosable(h.localPort()):
			t.insidePorts.Add(h.localPort())
		default:
			t.outsidePorts.Add(h.localPort())
		}
	}
}

// removePeers removes the other ends of connections whose own end is in a pool.
func (t *Counter) removePeers() {
	t.sockets = slices.DeleteFunc(t.sockets, func(h pooledSocket) bool {
		return h.tcpState() == peerTimeWait && t.isChoosable(t.pools[h.poolIndex()].to.Port())
	})
}

// isUnavailable reports whether h's socket belongs to no pool: its port is not in the range, or
// connect() can't use it for any destination.
func (t *Counter) isUnavailable(h pooledSocket) bool {
	port := h.localPort()
	return !t.isChoosable(port) || t.serverPorts.Contains(port) || !t.Windows && t.bound.Contains(port)
}

// IsServerPort reports whether port has a listener that is in the table, or that is inferred. It
// is valid after BuildNetwork.
func (t *Counter) IsServerPort(port uint16) bool { return t.serverPorts.Contains(port) }

// Connections iterates over the connections with a local port of Stored. It is valid after
// BuildNetwork.
func (t *Counter) Connections() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		for _, h := range t.sockets {
			p, state := &t.pools[h.poolIndex()], h.tcpState()
			switch state {
			case peerTimeWait:
				continue
			case reusableTimeWait:
				state = tcpstate.TimeWait
			}
			local := netip.AddrPortFrom(p.source, h.localPort())
			if !yield(Row{Local: local, Remote: p.to, State: state, Holder: h.holderNumber(), Remaining: -1}) {
				return
			}
		}
	}
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
	t.countReusable(list)
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
// these are sockets over loopback (tcp_tw_reuse is 2), unless their ports show otherwise, or
// if it were 1, those that are old enough; on Windows, those of the other end, which
// countState counted.
func (t *Counter) countReusable(list []socket.Destination) {
	odd := t.countOddTimeWait(list)
	for i := range list {
		d := &list[i]
		waiting := d.States[tcpstate.TimeWait]
		switch {
		case t.Windows || waiting == 0 || !isLoopback(d):
		case len(odd) > 0 && hasBothParities(odd[i], waiting):
			t.timeWaitOfBothParities = true
		default:
			young := uint32(0)
			if t.timers > 0 {
				young = waiting - d.ReusableIfAll
			}
			d.Reusable = waiting - young
		}
		d.ReusableIfAll = max(d.ReusableIfAll, d.Reusable)
	}
}

func isLoopback(d *socket.Destination) bool { return d.Source.IsLoopback() || d.Address.IsLoopback() }

// countOddTimeWait counts the odd ports in TIME_WAIT of each destination. It returns nil where
// they have no meaning (Windows) or the settings are known (Complete).
func (t *Counter) countOddTimeWait(list []socket.Destination) []uint32 {
	if t.Windows || t.Complete {
		return nil
	}
	odd := make([]uint32, len(list))
	for _, h := range t.sockets {
		if h.tcpState() == tcpstate.TimeWait && h.localPort()%2 == 1 && !t.isUnavailable(h) {
			odd[h.poolIndex()]++
		}
	}
	return odd
}

// hasBothParities reports whether at least a twentieth of the ports is even and a twentieth
// is odd. connect() first tries the ports of one parity (net/ipv4/inet_hashtables.c,
// __inet_hash_connect). While it may reuse their TIME_WAIT, it does not need the others.
func hasBothParities(odd, total uint32) bool { return 20*min(odd, total-odd) >= total }

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

// CountByHolder returns the number of sockets in p by holder number, including those whose
// ports are unavailable to every destination. If any socket may make a port unavailable to p,
// it counts the sockets of all destinations. It is valid after BuildNetwork.
func (t *Counter) CountByHolder(p socket.Pool) (counts [MaxHolders + 1]int) {
	if p.Protocol == socket.UDP {
		inRange := ports.Intersection(t.udp, ports.NewSet(t.UDPRange))
		inRange.RemoveAll(t.ReservedUDP)
		t.udpHolders.addTo(&counts, &inRange)
		return counts
	}
	t.countUnavailableByHolder(&counts)
	for _, h := range t.sockets {
		if t.isUnavailable(h) || h.holderNumber() == 0 {
			continue
		}
		if p.Network.BindUnknown || p.Kind == socket.Bind || t.isInPool(p, h) {
			counts[h.holderNumber()]++
		}
	}
	return counts
}

// countUnavailableByHolder counts the ports of listeners and of sockets that are only bound.
func (t *Counter) countUnavailableByHolder(counts *[MaxHolders + 1]int) {
	inRange := ports.NewSet(t.Range)
	inRange.RemoveAll(t.Reserved)
	bound, listening := ports.Intersection(t.bound, inRange), ports.Intersection(t.serverPorts, inRange)
	bound.RemoveAll(&listening)
	if t.Windows { // a port with a connection is counted with the connection
		bound.RemoveAll(&t.connected)
	}
	t.boundHolders.addTo(counts, &bound)
	t.listeningHolders.addTo(counts, &listening)
}

func (t *Counter) isInPool(p socket.Pool, h pooledSocket) bool {
	of, d := &t.pools[h.poolIndex()], p.Destination
	return d != nil && d.Source == of.source && d.Address == of.to.Addr() && d.Port == of.to.Port()
}
