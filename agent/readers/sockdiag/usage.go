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

// errUnknownState means that a socket has a TCP state beyond tcpstate.Counts.
var errUnknownState = errors.New("unknown TCP state")

// maxDestinations limits the memory of one namespace, to about 16 MiB.
const maxDestinations = 1 << 16

// Flags of a port.
const (
	portInUse      uint8 = 1 << iota // by a TCP socket
	portBound                        // by a socket that isn't connected, so connect() skips the port
	portListening                    // by a listening socket
	portInUseByUDP                   // by a UDP socket
)

// portUsage counts the ports and destinations of a namespace's sockets. It is reused for
// the next namespace.
type portUsage struct {
	settings socket.Settings
	// minReuseAge is the age from which on a TIME_WAIT socket may be reused.
	minReuseAge time.Duration
	reserved    *ports.Set

	portFlags [1 << 16]uint8
	poolIndex map[destinationKey]int
	// uncounted is the number of sockets with a destination beyond maxDestinations.
	uncounted int

	states       tcpstate.Counts
	destinations []socket.Destination
	udpSockets   int
}

// destinationKey identifies a pool of connect(). Sockets that are bound to different interfaces
// use different pools.
type destinationKey struct {
	source, address netip.Addr
	port            uint16
	device          uint32
}

// resetFor clears the counts for the next namespace.
func (t *portUsage) resetFor(s socket.Settings, delay time.Duration, reserved *ports.Set) {
	*t = portUsage{settings: s, minReuseAge: delay, reserved: reserved, poolIndex: map[destinationKey]int{}}
}

// isEphemeral reports whether connect() and bind(0) can choose the port.
func (t *portUsage) isEphemeral(port uint16) bool {
	return t.settings.Range.Contains(port) && !t.reserved.Contains(port)
}

// addTCP counts a TCP socket. The kernel dumps listeners first, then bound-only sockets,
// then the rest (net/ipv4/inet_diag.c, inet_diag_dump_icsk). connect() skips a port after
// any bind() to it, even a later one (net/ipv4/inet_connection_sock.c,
// inet_csk_update_fastreuse). Other sockets with that port, such as a listener's clients,
// belong to no pool.
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

// addConnected counts s at its destination.
func (t *portUsage) addConnected(s diagSocket) {
	key := destinationKey{source: s.local.Addr().Unmap(), address: s.remote.Addr().Unmap(), port: s.remote.Port(), device: s.device}
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

// timerPrecision is the maximum error of a timer's age, with 100 jiffies a second.
const timerPrecision = 20 * time.Millisecond

// isReusableIfAll reports whether connect() could reuse the port of a TIME_WAIT socket if
// tcp_tw_reuse were 1 (net/ipv4/tcp_ipv4.c, tcp_twsk_unique). A dump does not show whether
// the peer used timestamps, so they are assumed if the namespace uses them. In doubt it
// returns true.
func (t *portUsage) isReusableIfAll(s diagSocket) bool {
	if s.state != tcpstate.TimeWait || !t.settings.Timestamps {
		return false
	}
	age := timeWaitLength - time.Duration(s.expires)*time.Millisecond
	return age+timerPrecision >= t.minReuseAge
}

// isReuseAllowed reports whether tcp_tw_reuse allows connect() to reuse the socket's port.
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

// maxListenPorts is the maximum number of listening ports that are reported.
const maxListenPorts = 8

// writeTo writes the figures to n, which then owns them.
func (t *portUsage) writeTo(n *socket.Network) {
	n.Settings = t.settings
	n.States, n.Destinations, n.UDPSockets = t.states, t.destinations, t.udpSockets
	n.ListenPorts = []uint16{}
	for port := int(t.settings.Range.First); port <= int(t.settings.Range.Last); port++ {
		p := t.portFlags[port]
		n.InUse += int(p & portInUse)
		n.Skipped += int(p & portBound / portBound)
		n.SkippedListening += int(p & portListening / portListening)
		n.UDPInUse += int(p & portInUseByUDP / portInUseByUDP)
		if p&portListening != 0 && len(n.ListenPorts) < maxListenPorts {
			n.ListenPorts = append(n.ListenPorts, uint16(port))
		}
	}
}
