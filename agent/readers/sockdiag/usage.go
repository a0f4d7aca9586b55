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

// errUnknownState is a TCP state that socket.States does not count.
var errUnknownState = errors.New("unknown TCP state")

// maxDestinations bounds the memory that one namespace can take, about 16 MiB.
const maxDestinations = 1 << 16

// What is known of a port.
const (
	portInUse      uint8 = 1 << iota // some socket has it
	portBound                        // a socket that isn't connected has it: connect() skips it
	portListening                    // that socket listens
	portInUseByUDP                   // a UDP socket has it
)

// portUsage makes a namespace's figures of its sockets, one after another. It is
// used again for the next namespace.
type portUsage struct {
	settings socket.Settings
	// minReuseAge is how old a TIME_WAIT is at the least when it is reused.
	minReuseAge time.Duration
	reserved    *ports.Set

	portFlags [1 << 16]uint8
	poolIndex map[poolKey]int
	// uncounted is the sockets whose destination found no room.
	uncounted int

	states       tcpstate.Counts
	destinations []socket.Destination
	udpSockets   int
}

// poolKey is what connect() draws a port for. The interface that a socket is bound
// to parts pools, too.
type poolKey struct {
	source, address netip.Addr
	port            uint16
	device          uint32
}

func (t *portUsage) resetFor(s socket.Settings, delay time.Duration, reserved *ports.Set) {
	*t = portUsage{settings: s, minReuseAge: delay, reserved: reserved, poolIndex: map[poolKey]int{}}
}

// isEphemeral says that connect() and bind(0) can pick the port.
func (t *portUsage) isEphemeral(port uint16) bool {
	return t.settings.Range.Contains(port) && !t.reserved.Has(port)
}

// addTCP counts a TCP socket. The kernel dumps listeners first, then sockets that
// are only bound, then the rest (net/ipv4/inet_diag.c, inet_diag_dump_icsk). Any
// bind() to a port makes connect() skip it, however late it comes
// (net/ipv4/inet_connection_sock.c, inet_csk_update_fastreuse): what else has the
// port, such as a listener's clients, belongs to no pool.
func (t *portUsage) addTCP(s diagSocket) error {
	if int(s.state) >= len(t.states) {
		return fmt.Errorf("%w: %d", errUnknownState, s.state)
	}
	t.states[s.state]++
	port := s.local.Port()
	if !t.isEphemeral(port) {
		return nil
	}
	switch t.portFlags[port] |= portInUse; {
	case s.state == tcpstate.Bound:
		t.portFlags[port] |= portBound
	case s.state == tcpstate.Listen:
		t.portFlags[port] |= portBound | portListening
	case t.portFlags[port]&portBound == 0:
		t.addConnected(s)
	}
	return nil
}

func (t *portUsage) addConnected(s diagSocket) {
	key := poolKey{s.local.Addr().Unmap(), s.remote.Addr().Unmap(), s.remote.Port(), s.device}
	i, ok := t.poolIndex[key]
	if !ok {
		if len(t.destinations) == maxDestinations {
			t.uncounted++
			return
		}
		i = len(t.destinations)
		t.poolIndex[key] = i
		t.destinations = append(t.destinations,
			socket.Destination{Source: key.source, Address: key.address, Port: key.port})
	}
	d := &t.destinations[i]
	d.States[s.state]++
	if t.isReusableIfAll(s) {
		d.ReusableIfAll++
		if t.isReuseAllowed(s) {
			d.Reusable++
		}
	}
}

// timeWaitLength is TCP_TIMEWAIT_LEN (include/net/tcp.h).
const timeWaitLength = 60 * time.Second

// timerPrecision is the most that a timer's age can be off, with 100 of them a second.
const timerPrecision = 20 * time.Millisecond

// isReusableIfAll says that connect() may take over a TIME_WAIT where tcp_tw_reuse is
// 1 (net/ipv4/tcp_ipv4.c, tcp_twsk_unique). Whether the peer used timestamps is not
// in a dump: where the namespace uses them, it is taken to have. In doubt it says
// yes.
func (t *portUsage) isReusableIfAll(s diagSocket) bool {
	if s.state != tcpstate.TimeWait || !t.settings.Timestamps {
		return false
	}
	age := timeWaitLength - time.Duration(s.expires)*time.Millisecond
	return age+timerPrecision >= t.minReuseAge
}

// isReuseAllowed says that tcp_tw_reuse lets connect() take over what it otherwise
// could.
func (t *portUsage) isReuseAllowed(s diagSocket) bool {
	return t.settings.Reuse == socket.ReuseAll || t.settings.Reuse == socket.ReuseLoopback && isLoopback(s)
}

func isLoopback(s diagSocket) bool {
	const lo = 1 // LOOPBACK_IFINDEX, include/net/flow.h
	return s.device == lo || s.local.Addr().Unmap().IsLoopback() || s.remote.Addr().Unmap().IsLoopback()
}

// addUDP counts a UDP socket.
func (t *portUsage) addUDP(s diagSocket) {
	port := s.local.Port()
	if port == 0 {
		return
	}
	t.udpSockets++
	if t.isEphemeral(port) {
		t.portFlags[port] |= portInUseByUDP
	}
}

// maxListenPorts is how many listening ports of the range are named.
const maxListenPorts = 8

// writeTo writes the figures to n, which owns them from then on.
func (t *portUsage) writeTo(n *socket.Network) {
	n.Settings = t.settings
	n.States, n.Destinations, n.UDPSockets = t.states, t.destinations, t.udpSockets
	n.ListenPorts = []uint16{}
	for port := int(t.settings.Range.First); port <= int(t.settings.Range.Last); port++ {
		p := t.portFlags[port]
		n.Held += int(p & portInUse)
		n.Skipped += int(p & portBound / portBound)
		n.SkippedListening += int(p & portListening / portListening)
		n.UDPHeld += int(p & portInUseByUDP / portInUseByUDP)
		if p&portListening != 0 && len(n.ListenPorts) < maxListenPorts {
			n.ListenPorts = append(n.ListenPorts, uint16(port))
		}
	}
}
