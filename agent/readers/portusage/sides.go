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
	localServes, remoteServes := isServicePort(local), isServicePort(remote)
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

// servicePorts are ports above 1023 on which servers usually listen (from IANA's registry
// of service names, and Kubernetes).
var servicePorts = func() (p ports.Set) {
	for _, port := range []uint16{
		1433, 1521, 1883, 2049, 2181, 2375, 2376, 2379, 2380, 3000, 3128, 3268, 3269, 3306, 3389,
		4222, 4317, 4318, 5000, 5060, 5061, 5222, 5432, 5671, 5672, 5900, 5985, 5986, 6379, 6443,
		6650, 7000, 7077, 8000, 8008, 8080, 8081, 8086, 8088, 8443, 8883, 8888, 9000, 9042, 9090,
		9092, 9093, 9100, 9200, 9300, 9443, 10250, 10255, 11211, 15672, 26379, 27017, 27018, 50051,
	} {
		p.Add(port)
	}
	return p
}()

func isServicePort(port uint16) bool { return port < 1024 || servicePorts.Contains(port) }
