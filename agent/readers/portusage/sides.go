package portusage

import (
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// sideClassifier classifies which side of a connection opened it. Because it counts ports,
// not rows, its size is constant.
type sideClassifier struct {
	ephemeral ports.Range
	// listening are the ports with a listener. hasListeners is true if the table
	// contains any.
	listening    ports.Set
	hasListeners bool
	// localCounts and remoteCounts are the numbers of connections by port of each side.
	localCounts, remoteCounts [1 << 16]uint32
}

// countConnection counts the ports of a connection.
func (s *sideClassifier) countConnection(local, remote uint16) {
	s.localCounts[local]++
	s.remoteCounts[remote]++
}

// isLocalClient reports whether the local side opened a connection whose local port is
// ephemeral. The first rule that applies decides:
//
//  1. A socket listens on the local port: the remote side.
//  2. The table contains listeners, but none on that port: the local side.
//  3. SYN_SENT: the local side. SYN_RECV: the remote side.
//  4. The remote port belongs to a service (below 1024, or a known one) and the local
//     port does not: the local side.
//  5. One of the ports has at least twice as many connections as the other (a local port
//     at least 4, because connect() may use a port for several destinations): it belongs
//     to the service, so the other side.
//  6. The local port belongs to a service and the remote port does not: the remote side.
//  7. The remote port is outside the range: the local side.
//  8. Both ends are on this host: the lower port belongs to the service.
//  9. Otherwise: the local side.
//
// In doubt the local side is assumed, because one connection too many does not fill a pool,
// but one too few could hide a full one.
func (s *sideClassifier) isLocalClient(local, remote uint16, state tcpstate.State, sameHost bool) bool {
	if s.hasListeners {
		return !s.listening.Contains(local)
	}
	switch state {
	case tcpstate.SynSent:
		return true
	case tcpstate.SynRecv:
		return false
	}
	const minConnections = 4
	localServes, remoteServes := ports.IsService(local), ports.IsService(remote)
	switch l, r := s.localCounts[local], s.remoteCounts[remote]; {
	case remoteServes && !localServes:
		return true
	case l >= minConnections && l >= 2*r:
		return false
	case r >= 2*l:
		return true
	case localServes != remoteServes:
		return false
	case !s.ephemeral.Contains(remote):
		return true
	}
	return !sameHost || local > remote
}
