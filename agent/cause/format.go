package cause

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"portreeve.io/portreeve/agent/socket"
)

// formatShare returns the start of a finding: n ports of the pool and a predicate.
func (e *Evidence) formatShare(n int, predicate string) string {
	return fmt.Sprintf("%d of %d ports%s %s", n, e.Pool.Capacity, e.formatTarget(), predicate)
}

// formatTarget returns " to " and the pool's destination; empty for all destinations.
func (e *Evidence) formatTarget() string {
	if e.Pool.Destination == nil {
		return ""
	}
	return " to " + e.formatPeer()
}

// formatPeer returns the destination, "any destination" if the pool has none.
func (e *Evidence) formatPeer() string {
	d := e.Pool.Destination
	if d == nil {
		return "any destination"
	}
	return netip.AddrPortFrom(d.Address, d.Port).String()
}

// The source addresses from which an Istio sidecar forwards inbound connections to its
// application (InboundPassthroughBindIpv4 and Ipv6 in pilot/pkg/networking).
var sidecarSources = []netip.Addr{netip.MustParseAddr("127.0.0.6"), netip.MustParseAddr("::6")}

func (e *Evidence) isSidecar() bool {
	source := e.Pool.Network.Evidence.BoundAddress
	if d := e.Pool.Destination; d != nil {
		source = d.Source
	}
	return slices.Contains(sidecarSources, source)
}

// formatHolder returns the user of the ports, for the middle of a sentence.
func (e *Evidence) formatHolder() string {
	process, place := "", ""
	if h := e.Holder; h != nil {
		process = h.Process
		switch {
		case process != "" && h.PID > 0:
			process += fmt.Sprintf(" (pid %d)", h.PID)
		case h.PID > 0: // a dump without names
			process = fmt.Sprintf("PID %d", h.PID)
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

// formatSubject returns the user of the ports, for the start of a sentence.
func (e *Evidence) formatSubject() string {
	holder := e.formatHolder()
	if rest, ok := strings.CutPrefix(holder, "the "); ok {
		return "The " + rest
	}
	return holder
}
