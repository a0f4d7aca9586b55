// Package tally adds up the rows of a socket table that doesn't tell how a port was
// taken, nor who opened a connection: the tables of Windows, and what netstat and its
// like print. It is pure.
package tally

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
	Range, UDP            ports.Range
	Reserved, ReservedUDP *ports.Set
	// Windows says whose rules are the table's; the other is Linux.
	Windows bool
	// Once says that no row comes twice: nothing is spent on finding out.
	Once bool
}

// Tally adds rows up. Which side opened a connection is known at the end only, since
// listeners may come last: until then sockets with an ephemeral local port are kept,
// eight bytes each, and the others are counted.
type Tally struct {
	Options
	sides
	kept
	states tcpstate.Counts
	// Ports of connections, of sockets that are bound and not connected, and of UDP.
	connected, bound, udp ports.Set
	// serving are the ports that something listens on, once that was decided.
	serving ports.Set
	// outside are local ports of clients by rule 4, outside the range.
	outside ports.Set

	tcpRows, udpRows, udpSockets int
	timers                       int // TIME_WAIT that said how long it lasts
}

// New begins a tally.
func New(o Options) *Tally {
	t := new(Tally)
	t.Reset(o)
	return t
}

// Reset begins t anew, in the memory that it has.
func (t *Tally) Reset(o Options) {
	k := t.kept
	k.reset()
	*t = Tally{Options: o, sides: sides{ephemeral: o.Range}, kept: k}
}

// Add takes a row into account.
func (t *Tally) Add(r *Row) {
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
		t.listen(local)
	case r.State == tcpstate.Bound || remote == 0:
		t.bound.Add(local)
	default:
		t.count(local, remote)
		t.connection(r)
	}
}

// Take takes the port of r, whose socket another tally has.
func (t *Tally) Take(r *Row) {
	switch port := r.Local.Port(); {
	case r.Protocol == socket.UDP:
		t.udp.Add(port)
	case r.State == tcpstate.Listen:
		t.listen(port)
	default:
		t.bound.Add(port)
	}
}

func (t *Tally) listen(port uint16) {
	t.listening.Add(port)
	t.listeners = true
}

func (t *Tally) connection(r *Row) {
	state := r.State
	if state == tcpstate.TimeWait && r.Remaining >= 0 {
		t.timers++
		if r.Remaining < 59_000 {
			state = oldTimeWait
		}
	}
	local, remote := r.Local, r.Remote
	switch {
	case t.chosen(local.Port()):
		t.keep(pool{local.Addr(), remote}, local.Port(), state, r.Holder)
	case t.Windows && state == tcpstate.TimeWait && local.Addr() == remote.Addr() && t.chosen(remote.Port()):
		// The other end is gone, and its port can't be used again on this way.
		t.keep(pool{remote.Addr(), local}, remote.Port(), farTimeWait, 0)
	case service(remote.Port()) && !service(local.Port()):
		t.outside.Add(local.Port())
	}
}

// chosen says that connect() may choose port.
func (t *Tally) chosen(port uint16) bool {
	return t.Range.Contains(port) && !t.Reserved.Contains(port)
}

// keep keeps a socket of a pool.
func (t *Tally) keep(p pool, port uint16, state tcpstate.State, holder int) {
	at := t.find(p)
	if len(t.sockets) == cap(t.sockets) && !t.Once {
		t.grow(t.forget)
	}
	t.sockets = append(t.sockets, newHeld(at, port, state, holder))
}

// forget undoes what Add did for a row that shows a socket again.
func (t *Tally) forget(h held) {
	s := h.state()
	switch s {
	case farTimeWait: // no socket of its own
		return
	case oldTimeWait:
		s = tcpstate.TimeWait
	}
	t.states[s]--
	t.local[h.port()]--
	t.remote[t.pools[h.pool()].to.Port()]--
	t.repeated++
}

// find is the number of a pool. Where there is no room for another, the smallest are
// left out.
func (t *Tally) find(p pool) uint32 {
	if at, ok := t.index[p]; ok {
		return at
	}
	if len(t.pools) == MaxDestinations {
		t.makeRoom(func(h held) { t.connected.Add(h.port()) })
	}
	return t.add(p)
}

// Seen is what was added up beside what Network says.
type Seen struct {
	TCP, UDP  int  // rows
	Listeners bool // any was among them
	TimeWait  int
	// Left is sockets of small destinations that found no room, Repeated rows that
	// showed a socket again.
	Left, Repeated int
	// Outside is ports that look like clients' and are outside the range, and the first
	// and the last of them.
	Outside, First, Last int
}

// Seen tells it, after Network.
func (t *Tally) Seen() Seen {
	s := Seen{
		TCP: t.tcpRows, UDP: t.udpRows, Listeners: t.listeners, TimeWait: int(t.states[tcpstate.TimeWait]),
		Left: t.left, Repeated: t.repeated,
	}
	for port := 1024; port < 1<<16; port++ {
		if t.outside.Contains(uint16(port)) && !t.listening.Contains(uint16(port)) {
			if s.Outside++; s.First == 0 {
				s.First = port
			}
			s.Last = port
		}
	}
	return s
}
