package cause

import (
	"fmt"
	"strings"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// evaluateBoundPorts matches if explicit binds use most of the ports, or if bind(0) runs
// out, since it needs a port that no other socket uses, whatever the destination.
func evaluateBoundPorts(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	d := Diagnosis{
		Cause: v1alpha1.CauseBoundPorts,
		Finding: fmt.Sprintf("%d of %d ports are in use; %d of them were taken by bind() before connect(), and no other destination can use those.",
			e.Pool.MaxUsed(), e.Pool.Capacity, p.bound) + e.formatBoundAddress(),
		Remedy:  e.formatSubject() + " should connect() without bind(), or set IP_BIND_ADDRESS_NO_PORT before bind() to an address, so that each destination has its own ports.",
		Setting: e.suggestWiderRange(),
	}
	if e.System.IsWindows {
		d.Remedy = e.formatSubject() + " should connect() without bind(). SO_REUSE_UNICASTPORT before bind() helps only if an auto-reuse range is configured (NodeTuning windows.autoReusePorts)."
	}
	return d, p.isMajority(p.bound) || e.Pool.Kind == socket.Bind && !p.isMajority(p.listening)
}

// formatBoundAddress returns a sentence with the address that most of the connections have, empty
// if it is not known.
func (e *Evidence) formatBoundAddress() string {
	address := e.Pool.Network.Evidence.BoundAddress
	if !address.IsValid() {
		return ""
	}
	return fmt.Sprintf(" Most connections are from %v.", address)
}

// evaluateUDPPorts matches the UDP pool. A UDP socket does not share its port, whether
// connected or not.
func evaluateUDPPorts(e *Evidence, _ portBreakdown) (Diagnosis, bool) {
	return Diagnosis{
		Cause: v1alpha1.CauseBoundPorts,
		Finding: fmt.Sprintf("%d UDP sockets use %d of %d ports; UDP sockets do not share ports, whatever the destination.",
			e.Pool.Network.UDPSockets, e.Pool.MaxUsed(), e.Pool.Capacity),
		Remedy:  e.formatSubject() + " should reuse UDP sockets (for DNS: use a caching resolver) and close unused ones.",
		Setting: e.suggestWiderRange(),
	}, e.Pool.Protocol == socket.UDP
}

// evaluateListenerInRange matches if services listen on most of the ports. connect() then
// finds few, and a service that restarts may find its port in use by a connection.
func evaluateListenerInRange(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	return Diagnosis{
		Cause: v1alpha1.CauseListenerInRange,
		Finding: fmt.Sprintf("Services listen on %d of the %d ports of the range %v%s.",
			p.listening, e.Pool.Capacity, e.Pool.Network.Settings.Range, formatListenPorts(e.Pool.Network)),
		Remedy: "Let services listen outside the range, or move the range; " + e.System.describeReservation() + ".",
	}, p.isMajority(p.listening)
}

// describeReservation returns how ports are kept out of the range.
func (s System) describeReservation() string {
	switch {
	case s.UsesMaxUserPort:
		return "reserve ports that must stay inside it (the registry value ReservedPorts)"
	case s.IsWindows:
		return "exclude ports that must stay inside it (netsh int ipv4 add excludedportrange, NodeTuning windows.excludedPorts)"
	}
	return "reserve ports that must stay inside it (net.ipv4.ip_local_reserved_ports, NodeTuning linux.reservedPorts)"
}

// formatListenPorts returns some of the ports in brackets, with a space before them.
func formatListenPorts(n *socket.Network) string {
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

// explainUnknown returns the diagnosis if no cause has half of the pool.
func explainUnknown(e *Evidence, p portBreakdown) Diagnosis {
	return Diagnosis{
		Cause: v1alpha1.CauseUnknown,
		Finding: fmt.Sprintf("%d of %d ports%s are in use, without a dominant state: %s.",
			e.Pool.MaxUsed(), e.Pool.Capacity, e.formatTarget(), p.formatShares()),
		Remedy:  "Start with the largest.",
		Setting: e.suggestWiderRange(),
	}
}
