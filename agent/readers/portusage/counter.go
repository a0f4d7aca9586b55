// Package portusage counts the ports in use from the rows of a socket table that shows
// neither how a port was acquired nor which side opened a connection: the tables of
// Windows, and the output of netstat and similar tools. It is pure.
package portusage

import (
	"net/netip"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// Row is one socket of a table.
type Row struct {
	Protocol socket.Protocol
	// Local and Remote have the zero Addr for a wildcard, and port 0 if there is no port.
	Local, Remote netip.AddrPort
	State         tcpstate.State // of TCP
	// Holder is the number of the process that owns the socket, from 1 to MaxHolders, or 0
	// if there is none.
	Holder int
	// Remaining is the remaining time of TIME_WAIT in milliseconds, or -1 if it is unknown.
	Remaining int
}

// Options describes the system that the rows come from.
type Options struct {
	// Range and UDPRange are the ports from which connect() and bind(0) choose. Reserved
	// and ReservedUDP are the ports in it that they skip.
	Range, UDPRange       ports.Range
	Reserved, ReservedUDP *ports.Set
	// Stored are the local ports whose connections are kept until BuildNetwork. The zero value
	// means Range. A wider range allows SetRanges to change Range after the rows.
	Stored ports.Range
	// Windows selects the rules of Windows instead of those of Linux.
	Windows bool
	// Complete means that the rows are the whole table. A port without a listener then never
	// counts as a server's.
	Complete bool
	// UniqueRows means that no row is repeated, so that duplicates need not be removed.
	UniqueRows bool
}

// Counter counts the ports used by the rows. Because listeners may come last, it can only
// decide at the end which side opened a connection. Until then it stores sockets with an
// ephemeral local port in eight bytes each, and counts the others.
type Counter struct {
	Options
	sideClassifier
	socketStore
	states tcpstate.Counts
	// The ports of connections, of sockets that are bound but not connected, and of UDP.
	connected, bound, udp ports.Set
	// The holders of these ports, and of those with a listener.
	boundHolders, listeningHolders, udpHolders portHolders
	// serverPorts is the result of findServerPorts.
	serverPorts ports.Set
	// timeWaitOfBothParities is the field of Summary.
	timeWaitOfBothParities bool
	// outsidePorts are local ports of Stored that clients use and connect() does not choose,
	// insidePorts those that it chooses.
	outsidePorts, insidePorts ports.Set

	tcpRows, udpRows, udpSockets int
	timers                       int // sockets in TIME_WAIT with a known remaining time
}

// New returns an empty Counter.
func New(o Options) *Counter {
	t := new(Counter)
	t.Reset(o)
	return t
}

// Reset empties t and reuses its memory.
func (t *Counter) Reset(o Options) {
	k := t.socketStore
	k.reset()
	if o.Stored == (ports.Range{}) {
		o.Stored = o.Range
	}
	*t = Counter{Options: o, sideClassifier: sideClassifier{ephemeral: o.Range, hasListeners: o.Complete}, socketStore: k}
}

// SetRanges changes the ranges of TCP and UDP, which must be in Options.Stored, before
// BuildNetwork.
func (t *Counter) SetRanges(tcp, udp ports.Range) {
	t.Range, t.UDPRange, t.ephemeral = tcp, udp, tcp
}

// Add counts a row.
func (t *Counter) Add(r *Row) {
	local, remote := r.Local.Port(), r.Remote.Port()
	if r.Protocol == socket.UDP {
		t.udpRows++
		if local != 0 {
			t.udpSockets++
			t.udp.Add(local)
			t.udpHolders.set(local, r.Holder)
		}
		return
	}
	t.tcpRows++
	t.states[r.State]++
	switch {
	case r.State == tcpstate.Listen:
		t.addListener(local)
		t.listeningHolders.set(local, r.Holder)
	case r.State == tcpstate.Bound || remote == 0:
		t.bound.Add(local)
		t.boundHolders.set(local, r.Holder)
	default:
		t.countConnection(local, remote)
		t.addConnection(r)
	}
}

// AddPort marks the port of r as in use, without counting its socket, which another
// Counter counts.
func (t *Counter) AddPort(r *Row) {
	switch port := r.Local.Port(); {
	case r.Protocol == socket.UDP:
		t.udp.Add(port)
	case r.State == tcpstate.Listen:
		t.addListener(port)
	default:
		t.bound.Add(port)
	}
}

func (t *Counter) addListener(port uint16) {
	t.listening.Add(port)
	t.hasListeners = true
}

func (t *Counter) addConnection(r *Row) {
	local, remote, state := r.Local, r.Remote, r.State
	if t.Complete && t.listening.Contains(local.Port()) {
		return // a client's end is elsewhere
	}
	if state == tcpstate.TimeWait && r.Remaining >= 0 {
		t.timers++
		if r.Remaining < 59_000 {
			state = reusableTimeWait
		}
	}
	if t.isStored(local.Port()) {
		t.addToPool(poolKey{source: local.Addr(), to: remote}, local.Port(), state, r.Holder)
	}
	if t.Windows && r.State == tcpstate.TimeWait && local.Addr() == remote.Addr() && t.isStored(remote.Port()) {
		// The other end is closed, but its port can't be reused for this destination yet.
		t.addToPool(poolKey{source: remote.Addr(), to: local}, remote.Port(), peerTimeWait, 0)
	}
}

func (t *Counter) isStored(port uint16) bool {
	return t.Stored.Contains(port) && !t.Reserved.Contains(port)
}

// isChoosable reports whether connect() may choose port.
func (t *Counter) isChoosable(port uint16) bool {
	return t.Range.Contains(port) && !t.Reserved.Contains(port)
}

// addToPool stores a socket in its pool.
func (t *Counter) addToPool(p poolKey, port uint16, state tcpstate.State, holder int) {
	at := t.findPool(p)
	if len(t.sockets) == cap(t.sockets) && !t.UniqueRows {
		t.growSockets(t.uncountDuplicate)
	}
	t.sockets = append(t.sockets, packSocket(at, port, state, holder))
}

// uncountDuplicate reverts Add for a row that repeats a socket.
func (t *Counter) uncountDuplicate(h pooledSocket) {
	s := h.tcpState()
	switch s {
	case peerTimeWait: // not counted as a socket
		return
	case reusableTimeWait:
		s = tcpstate.TimeWait
	}
	t.states[s]--
	t.localCounts[h.localPort()]--
	t.remoteCounts[t.pools[h.poolIndex()].to.Port()]--
	t.duplicates++
}

// findPool returns the index of a pool, which it adds if necessary. If there are too many
// pools, it drops the smallest.
func (t *Counter) findPool(p poolKey) uint32 {
	if at, ok := t.index[p]; ok {
		return at
	}
	if len(t.pools) == MaxDestinations {
		t.dropSmallPools(func(h pooledSocket) { t.connected.Add(h.localPort()) })
	}
	return t.addPool(p)
}

// HasListeners reports whether a row so far is a listener.
func (t *Counter) HasListeners() bool { return t.hasListeners }

// Summary contains counts that are not part of the Network.
type Summary struct {
	TCPRows, UDPRows int
	HasListeners     bool // if any row is a listener
	TimeWait         int
	// Dropped counts sockets of small destinations that were dropped because there were too
	// many destinations. Duplicates counts rows that repeated a socket.
	Dropped, Duplicates int
	// Clients counts the ports of clients that connect() may have chosen from the range, and
	// the ports of clients outside it. UDP counts the ports of UDP sockets.
	Clients, UDP PortCounts
	// TimeWaitOfBothParities is true if sockets in TIME_WAIT over loopback have both even and
	// odd ports, so that connect() did not reuse them.
	TimeWaitOfBothParities bool
}

// PortCounts counts ports inside and outside the range, the latter from 1024. First and Last
// are the lowest and the highest port outside.
type PortCounts struct{ Inside, Outside, First, Last int }

// Summarize returns the Summary. It is valid after BuildNetwork.
func (t *Counter) Summarize() Summary {
	outside, udp := ports.Difference(t.outsidePorts, t.serverPorts), ports.Difference(t.udp, ports.NewSet(t.UDPRange))
	s := Summary{
		TCPRows: t.tcpRows, UDPRows: t.udpRows, HasListeners: t.hasListeners, TimeWait: int(t.states[tcpstate.TimeWait]),
		Dropped: t.dropped, Duplicates: t.duplicates, TimeWaitOfBothParities: t.timeWaitOfBothParities,
		Clients: countOutside(&outside), UDP: countOutside(&udp),
	}
	s.Clients.Inside, s.UDP.Inside = t.insidePorts.Len(), t.udp.CountIn(t.UDPRange)
	return s
}

// countOutside counts the ports of set, except those of well-known services.
func countOutside(set *ports.Set) (c PortCounts) {
	for port := firstUnprivilegedPort; port < 1<<16; port++ {
		if set.Contains(uint16(port)) && !ports.IsService(uint16(port)) {
			if c.Outside++; c.First == 0 {
				c.First = port
			}
			c.Last = port
		}
	}
	return c
}
