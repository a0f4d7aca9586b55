package cause

import (
	"fmt"
	"strings"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// boundPorts: explicit binds took most of the ports, or bind(0) finds too few that
// nobody has: it needs a port for itself, whatever the destination.
func boundPorts(e *Evidence, p parts) (Verdict, bool) {
	v := Verdict{
		Cause:   v1alpha1.CauseBoundPorts,
		Finding: fmt.Sprintf("%d of %d ports are taken; programs that bind() before they connect() took %d of them, from every destination.", e.Pool.MaxUsed(), e.Pool.Capacity, p.bound),
		Remedy:  e.subject() + " should connect() without bind(), or set IP_BIND_ADDRESS_NO_PORT before bind() to an address: then each destination has its own ports.",
		Setting: e.wider(),
	}
	if e.System.Windows {
		v.Remedy = e.subject() + " should connect() without bind(), or set SO_REUSE_UNICASTPORT before bind()."
	}
	return v, p.most(p.bound) || e.Pool.Kind == socket.Bind && !p.most(p.listening)
}

// udpPorts: a UDP socket has its port alone, connected or not.
func udpPorts(e *Evidence, _ parts) (Verdict, bool) {
	return Verdict{
		Cause:   v1alpha1.CauseBoundPorts,
		Finding: fmt.Sprintf("%d UDP sockets hold %d of %d ports: each has its port alone, whatever the destination.", e.Pool.Network.UDPSockets, e.Pool.MaxUsed(), e.Pool.Capacity),
		Remedy:  e.subject() + " should keep and share UDP sockets (for DNS: a caching resolver) and close those it is done with.",
		Setting: e.wider(),
	}, e.Pool.Protocol == socket.UDP
}

// listenerInRange: services took most of the ports, so that connect() finds few,
// and a service that restarts may find its port taken by a connection.
func listenerInRange(e *Evidence, p parts) (Verdict, bool) {
	return Verdict{
		Cause:   v1alpha1.CauseListenerInRange,
		Finding: fmt.Sprintf("%d of the %d ports of the range %v have a listener%s.", p.listening, e.Pool.Capacity, e.Pool.Network.Settings.Range, listenPorts(e.Pool.Network)),
		Remedy:  "Let services listen outside the range, or move the range; reserve (net.ipv4.ip_local_reserved_ports, NodeTuning linux.reservedPorts) the ports that must stay.",
	}, p.most(p.listening)
}

// listenPorts names some of the ports in brackets.
func listenPorts(n *socket.Network) string {
	if len(n.ListenPorts) == 0 {
		return ""
	}
	var words []string
	for _, port := range n.ListenPorts[:min(4, len(n.ListenPorts))] {
		words = append(words, fmt.Sprint(port))
	}
	more := ""
	if n.SkippedListening > len(words) {
		more = "…"
	}
	return " (" + strings.Join(words, ", ") + more + ")"
}

// unknown: nothing has half of the pool.
func unknown(e *Evidence, p parts) Verdict {
	return Verdict{
		Cause:   v1alpha1.CauseUnknown,
		Finding: fmt.Sprintf("%d of %d ports%s are used, and no one state holds most: %s.", e.Pool.MaxUsed(), e.Pool.Capacity, e.to(), p.spell()),
		Remedy:  "Start with the greatest.",
		Setting: e.wider(),
	}
}
