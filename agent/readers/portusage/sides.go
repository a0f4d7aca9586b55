package portusage

import (
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// sideClassifier tells which side of a connection opened it. It counts ports, not rows, so it
// has one size.
type sideClassifier struct {
	ephemeral ports.Range
	// listening are the ports that something listens on; listeners says that the
	// table shows any.
	listening    ports.Set
	hasListeners bool
	// localCounts and remote are how many connections have a port at each side.
	localCounts, remoteCounts [1 << 16]uint32
}

// countConnection takes a connection into account.
func (s *sideClassifier) countConnection(local, remote uint16) {
	s.localCounts[local]++
	s.remoteCounts[remote]++
}

// isLocalClient says that the local side opened a connection, whose local port is
// ephemeral. The rules, of which the first that applies decides:
//
//  1. Something listens on the local port: the remote side did.
//  2. The table shows listeners, and none on that port: the local side did.
//  3. SYN_SENT is the local side's, SYN_RECV the remote side's.
//  4. The remote port is a service's (below 1024, or a known one) and the local one is
//     not: the local side did.
//  5. One of the ports has at least twice as many connections as the other (a local
//     one at least 4: connect() may use a port towards several destinations): the
//     other side did.
//  6. The local port is a service's and the remote one is not: the remote side did.
//  7. The remote port is outside the range: the local side did.
//  8. Both ends are on this host: the lower port is the service's.
//  9. The local side did.
//
// In doubt it is the local side: a connection too many in its own pool fills none,
// one too few could hide a full one.
func (s *sideClassifier) isLocalClient(local, remote uint16, state tcpstate.State, sameHost bool) bool {
	if s.hasListeners {
		return !s.listening.Has(local)
	}
	switch state {
	case tcpstate.SynSent:
		return true
	case tcpstate.SynRecv:
		return false
	}
	const few = 4
	localServes, remoteServes := isServicePort(local), isServicePort(remote)
	switch l, r := s.localCounts[local], s.remoteCounts[remote]; {
	case remoteServes && !localServes:
		return true
	case l >= few && l >= 2*r:
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

// servicePorts are ports above 1023 that servers listen on by custom (IANA's registry of
// service names, and what Kubernetes uses).
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

func isServicePort(port uint16) bool { return port < 1024 || servicePorts.Has(port) }
