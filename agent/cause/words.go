package cause

import (
	"fmt"
	"net/netip"
	"strings"

	"portreeve.io/portreeve/agent/socket"
)

// formatShare is the start of a finding: how much of the pool what holds it has.
func (e *Evidence) formatShare(n int, what string) string {
	return fmt.Sprintf("%d of %d ports%s %s", n, e.Pool.Capacity, e.formatTarget(), what)
}

// formatTarget is where the pool leads, with a space before it; empty for all destinations.
func (e *Evidence) formatTarget() string {
	if e.Pool.Destination == nil {
		return ""
	}
	return " to " + e.formatPeer()
}

// formatPeer is the destination, "any destination" where the pool has none.
func (e *Evidence) formatPeer() string {
	d := e.Pool.Destination
	if d == nil {
		return "any destination"
	}
	return netip.AddrPortFrom(d.Address, d.Port).String()
}

// The source addresses from which an Istio sidecar hands inbound connections to
// its application (InboundPassthroughBindIpv4 and Ipv6 in pilot/pkg/networking).
var sidecarSources = []netip.Addr{netip.MustParseAddr("127.0.0.6"), netip.MustParseAddr("::6")}

func (e *Evidence) isSidecar() bool {
	d := e.Pool.Destination
	return d != nil && (d.Source == sidecarSources[0] || d.Source == sidecarSources[1])
}

// formatHolder is who holds the ports, in the middle of a sentence.
func (e *Evidence) formatHolder() string {
	process, place := "", ""
	if h := e.Holder; h != nil && h.Process != "" {
		process = h.Process
		if h.PID > 0 {
			process += fmt.Sprintf(" (pid %d)", h.PID)
		}
	}
	switch e.Pool.Network.Owner.Kind {
	case socket.OwnerPod, socket.OwnerContainer:
		place = " of " + e.Network
	case socket.OwnerHost:
		place = " on the host network"
	}
	switch {
	case e.isSidecar():
		return "the Istio sidecar (istio-proxy, envoy)" + place
	case process != "":
		return process + place
	case strings.HasPrefix(place, " of "):
		return e.Network
	}
	return "the program" + place
}

// formatSubject is who at the start of a sentence.
func (e *Evidence) formatSubject() string {
	who := e.formatHolder()
	if rest, ok := strings.CutPrefix(who, "the "); ok {
		return "The " + rest
	}
	return who
}
