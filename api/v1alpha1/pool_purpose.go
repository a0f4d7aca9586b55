package v1alpha1

import (
	"fmt"
	"strings"
)

// Purpose describes the purpose of the ports of p: "→ 10.0.0.9:5432", "bind(0)", "UDP",
// "SNAT 192.0.2.1 → 10.0.0.9:5432", "UDP SNAT …", or "→ any" for a destination without
// sockets.
func (p Pool) Purpose() string {
	switch {
	case p.Kind == PoolSNAT && p.Protocol == ProtocolUDP:
		return "UDP SNAT " + p.Source + " " + p.formatDestination()
	case p.Kind == PoolSNAT:
		return "SNAT " + p.Source + " " + p.formatDestination()
	case p.Protocol == ProtocolUDP:
		return "UDP"
	case p.Kind == PoolBind:
		return "bind(0)"
	case p.Destination == "":
		return "→ any"
	}
	return p.formatDestination()
}

// formatDestination formats p's destination, with brackets around an IPv6 address.
func (p Pool) formatDestination() string {
	if strings.Contains(p.Destination, ":") {
		return fmt.Sprintf("→ [%s]:%d", p.Destination, p.Port)
	}
	return fmt.Sprintf("→ %s:%d", p.Destination, p.Port)
}
