// Package tally adds up the rows of a socket table that doesn't tell how a port was
// taken, nor who opened a connection: the tables of Windows, and what netstat and its
// like print. It is pure.
package portusage

import (
	"net/netip"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// Row is a socket of a table.
type Row struct {
	Protocol socket.Protocol
	// Local and Remote have the zero Addr where it is a wildcard, and port 0 where
	// there is none.
	Local, Remote netip.AddrPort
	State         tcpstate.State // of TCP
	// Holder numbers who holds the socket, from 1 to MaxHolders; 0 is nobody.
	Holder int
	// Remaining is what is left of TIME_WAIT in milliseconds; -1 where it isn't said.
	Remaining int
}

// Options say what the rows are of.
type Options struct {
	// Range is the ports that connect() and bind(0) choose from, UDP those of UDP.
	// Reserved and ReservedUDP are those that they leave out.
	Range, UDPRange       ports.Range
	Reserved, ReservedUDP *ports.Set
	// Windows says whose rules are the table's; the other is Linux.
	Windows bool
	// UniqueRows says that no row comes twice: nothing is spent on finding out.
	UniqueRows bool
}

// Counter adds rows up. Which side opened a connection is known at the end only, since
// listeners may come last: until then sockets with an ephemeral local port are kept,
// eight bytes each, and the others are counted.
type Counter struct {
	Options
	sideClassifier
	socketStore
	states tcpstate.Counts
	// Ports of connections, of sockets that are bound and not connected, and of UDP.
	connected, bound, udp ports.Set
	// serverPorts are the ports that something listens on, once that was decided.
	serverPorts ports.Set
	// outsidePorts are local ports of clients by rule 4, outside the range.
	outsidePorts ports.Set

	tcpRows, udpRows, udpSockets int
	timers                       int // TIME_WAIT that said how long it lasts
}

// New begins a tally.
func New(o Options) *Counter {
	t := new(Counter)
	t.Reset(o)
	return t
}

// Reset begins t anew, in the memory that it has.
func (t *Counter) Reset(o Options) {
	k := t.socketStore
	k.reset()
	*t = Counter{Options: o, sideClassifier: sideClassifier{ephemeral: o.Range}, socketStore: k}
}

// Add takes a row into account.
func (t *Counter) Add(r *Row) {
	local, remote := r.Local.Port(), r.Remote.Port()
	if r.Protocol == socket.UDP {
		t.udpRows++
		if local != 0 {
			t.udpSockets++
			t.udp.Add(local)
		}
		return
	}
	t.tcpRows++
	t.states[r.State]++
	switch {
	case r.State == tcpstate.Listen:
		t.addListener(local)
	case r.State == tcpstate.Bound || remote == 0:
		t.bound.Add(local)
	default:
		t.countConnection(local, remote)
		t.addConnection(r)
	}
}

// AddPort takes the port of r, whose socket another tally has.
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
	state := r.State
	if state == tcpstate.TimeWait && r.Remaining >= 0 {
		t.timers++
		if r.Remaining < 59_000 {
			state = reusableTimeWait
		}
	}
	local, remote := r.Local, r.Remote
	switch {
	case t.isChoosable(local.Port()):
		t.addToPool(poolKey{local.Addr(), remote}, local.Port(), state, r.Holder)
	case t.Windows && state == tcpstate.TimeWait && local.Addr() == remote.Addr() && t.isChoosable(remote.Port()):
		// The other end is gone, and its port can't be used again on this way.
		t.addToPool(poolKey{remote.Addr(), local}, remote.Port(), peerTimeWait, 0)
	case isServicePort(remote.Port()) && !isServicePort(local.Port()):
		t.outsidePorts.Add(local.Port())
	}
}

// isChoosable says that connect() may choose port.
func (t *Counter) isChoosable(port uint16) bool {
	return t.Range.Contains(port) && !t.Reserved.Has(port)
}

// addToPool keeps a socket of a pool.
func (t *Counter) addToPool(p poolKey, port uint16, state tcpstate.State, holder int) {
	at := t.findPool(p)
	if len(t.sockets) == cap(t.sockets) && !t.UniqueRows {
		t.growSockets(t.uncountDuplicate)
	}
	t.sockets = append(t.sockets, packSocket(at, port, state, holder))
}

// uncountDuplicate undoes what Add did for a row that shows a socket again.
func (t *Counter) uncountDuplicate(h pooledSocket) {
	s := h.tcpState()
	switch s {
	case peerTimeWait: // no socket of its own
		return
	case reusableTimeWait:
		s = tcpstate.TimeWait
	}
	t.states[s]--
	t.localCounts[h.localPort()]--
	t.remoteCounts[t.pools[h.poolIndex()].to.Port()]--
	t.duplicates++
}

// findPool is the number of a pool. Where there is no room for another, the smallest are
// left out.
func (t *Counter) findPool(p poolKey) uint32 {
	if at, ok := t.index[p]; ok {
		return at
	}
	if len(t.pools) == MaxDestinations {
		t.dropSmallPools(func(h pooledSocket) { t.connected.Add(h.localPort()) })
	}
	return t.addPool(p)
}

// Summary is what was added up beside what Network says.
type Summary struct {
	TCPRows, UDPRows int  // rows
	HasListeners     bool // any was among them
	TimeWait         int
	// Dropped is sockets of small destinations that found no room, Repeated rows that
	// showed a socket again.
	Dropped, Duplicates int
	// OutsidePorts is ports that look like clients' and are outside the range, and the first
	// and the last of them.
	OutsidePorts, FirstOutside, LastOutside int
}

// Summarize tells it, after Network.
func (t *Counter) Summarize() Summary {
	s := Summary{
		TCPRows: t.tcpRows, UDPRows: t.udpRows, HasListeners: t.hasListeners, TimeWait: int(t.states[tcpstate.TimeWait]),
		Dropped: t.dropped, Duplicates: t.duplicates,
	}
	for port := 1024; port < 1<<16; port++ {
		if t.outsidePorts.Has(uint16(port)) && !t.listening.Has(uint16(port)) {
			if s.OutsidePorts++; s.FirstOutside == 0 {
				s.FirstOutside = port
			}
			s.LastOutside = port
		}
	}
	return s
}
