package sockdiag

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// errState is a TCP state that socket.States does not count.
var errState = errors.New("unknown TCP state")

// maxDestinations bounds the memory that one namespace can take, about 16 MiB.
const maxDestinations = 1 << 16

// What is known of a port.
const (
	held      uint8 = 1 << iota // some socket has it
	bound                       // a socket that isn't connected has it: connect() skips it
	listening                   // that socket listens
	udpHeld                     // a UDP socket has it
)

// tally makes a namespace's figures of its sockets, one after another. It is
// used again for the next namespace.
type tally struct {
	settings socket.Settings
	// delay is how old a TIME_WAIT is at the least when it is reused.
	delay    time.Duration
	reserved *ports.Set

	ports [1 << 16]uint8
	index map[pool]int
	// left is the sockets whose destination found no room.
	left int

	states       tcpstate.Counts
	destinations []socket.Destination
	udpSockets   int
}

// pool is what connect() draws a port for. The interface that a socket is bound
// to parts pools, too.
type pool struct {
	source, address netip.Addr
	port            uint16
	device          uint32
}

func (t *tally) reset(s socket.Settings, delay time.Duration, reserved *ports.Set) {
	*t = tally{settings: s, delay: delay, reserved: reserved, index: map[pool]int{}}
}

// ephemeral says that connect() and bind(0) can pick the port.
func (t *tally) ephemeral(port uint16) bool {
	return t.settings.Range.Contains(port) && !t.reserved.Contains(port)
}

// tcp counts a TCP socket. The kernel dumps listeners first, then sockets that
// are only bound, then the rest (net/ipv4/inet_diag.c, inet_diag_dump_icsk). Any
// bind() to a port makes connect() skip it, however late it comes
// (net/ipv4/inet_connection_sock.c, inet_csk_update_fastreuse): what else has the
// port, such as a listener's clients, belongs to no pool.
func (t *tally) tcp(s sock) error {
	if int(s.state) >= len(t.states) {
		return fmt.Errorf("%w: %d", errState, s.state)
	}
	t.states[s.state]++
	port := s.local.Port()
	if !t.ephemeral(port) {
		return nil
	}
	switch t.ports[port] |= held; {
	case s.state == tcpstate.Bound:
		t.ports[port] |= bound
	case s.state == tcpstate.Listen:
		t.ports[port] |= bound | listening
	case t.ports[port]&bound == 0:
		t.connected(s)
	}
	return nil
}

func (t *tally) connected(s sock) {
	key := pool{s.local.Addr().Unmap(), s.remote.Addr().Unmap(), s.remote.Port(), s.device}
	i, ok := t.index[key]
	if !ok {
		if len(t.destinations) == maxDestinations {
			t.left++
			return
		}
		i = len(t.destinations)
		t.index[key] = i
		t.destinations = append(t.destinations,
			socket.Destination{Source: key.source, Address: key.address, Port: key.port})
	}
	d := &t.destinations[i]
	d.States[s.state]++
	if t.reusableIfAll(s) {
		d.ReusableIfAll++
		if t.reuseAllowed(s) {
			d.Reusable++
		}
	}
}

// timeWaitLength is TCP_TIMEWAIT_LEN (include/net/tcp.h).
const timeWaitLength = 60 * time.Second

// jiffies is the most that a timer's age can be off, with 100 of them a second.
const jiffies = 20 * time.Millisecond

// reusableIfAll says that connect() may take over a TIME_WAIT where tcp_tw_reuse is
// 1 (net/ipv4/tcp_ipv4.c, tcp_twsk_unique). Whether the peer used timestamps is not
// in a dump: where the namespace uses them, it is taken to have. In doubt it says
// yes.
func (t *tally) reusableIfAll(s sock) bool {
	if s.state != tcpstate.TimeWait || !t.settings.Timestamps {
		return false
	}
	age := timeWaitLength - time.Duration(s.expires)*time.Millisecond
	return age+jiffies >= t.delay
}

// reuseAllowed says that tcp_tw_reuse lets connect() take over what it otherwise
// could.
func (t *tally) reuseAllowed(s sock) bool {
	return t.settings.Reuse == socket.ReuseAll || t.settings.Reuse == socket.ReuseLoopback && loopback(s)
}

func loopback(s sock) bool {
	const lo = 1 // LOOPBACK_IFINDEX, include/net/flow.h
	return s.device == lo || s.local.Addr().Unmap().IsLoopback() || s.remote.Addr().Unmap().IsLoopback()
}

// udp counts a UDP socket.
func (t *tally) udp(s sock) {
	port := s.local.Port()
	if port == 0 {
		return
	}
	t.udpSockets++
	if t.ephemeral(port) {
		t.ports[port] |= udpHeld
	}
}

// maxListenPorts is how many listening ports of the range are named.
const maxListenPorts = 8

// finish writes the figures to n, which owns them from then on.
func (t *tally) finish(n *socket.Network) {
	n.Settings = t.settings
	n.States, n.Destinations, n.UDPSockets = t.states, t.destinations, t.udpSockets
	n.ListenPorts = []uint16{}
	for port := int(t.settings.Range.First); port <= int(t.settings.Range.Last); port++ {
		p := t.ports[port]
		n.Held += int(p & held)
		n.Skipped += int(p & bound / bound)
		n.SkippedListening += int(p & listening / listening)
		n.UDPHeld += int(p & udpHeld / udpHeld)
		if p&listening != 0 && len(n.ListenPorts) < maxListenPorts {
			n.ListenPorts = append(n.ListenPorts, uint16(port))
		}
	}
}
