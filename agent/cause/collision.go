package cause

import (
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// Collision has the ports in a network's ephemeral range that others own and that are not
// reserved: a connection can take such a port, and its owner then gets EADDRINUSE.
type Collision struct {
	// Network is the name of the network, Range its ephemeral range.
	Network string
	Range   ports.Range
	// NodePorts is the part of Kubernetes' NodePorts in the range, the zero value if there is
	// none. Listening and Services are the ports of listeners, and those of well-known services
	// below lowestFreePort without a listener.
	NodePorts           ports.Range
	Listening, Services []uint16
	// Held are ports of services that connections use now.
	Held []socket.HeldPort
	// Reserved are the ports that are reserved already, nil if they are not known.
	Reserved *ports.Set
}

// lowestFreePort is the port from which a range contains hardly any service's port.
const lowestFreePort = 10000

// FindCollision returns the ports of n's ephemeral range that others own; ok is false if there
// are none. nodePorts are those of the cluster; the zero value means that they are unknown.
// Windows' listeners are not considered: its services choose ports of the dynamic range on
// purpose.
func FindCollision(n NetworkState, nodePorts ports.Range, s System) (c Collision, ok bool) {
	r := n.Settings.Range
	c = Collision{Network: n.Name, Range: r, Held: n.Evidence.HeldPorts, Reserved: n.Evidence.Reserved}
	isKnown := n.Settings.Reserved == 0 || c.Reserved != nil
	if r.First == 0 || s.UsesMaxUserPort {
		return Collision{}, false
	}
	if !s.IsWindows {
		c.Listening = listConfiguredListeners(n.Network)
	}
	for port := max(int(r.First), 1024); isKnown && port < lowestFreePort && port <= int(r.Last); port++ {
		if p := uint16(port); ports.IsService(p) && !c.Reserved.Contains(p) && !slices.Contains(c.Listening, p) {
			c.Services = append(c.Services, p)
		}
	}
	if n.Owner.Kind == socket.OwnerHost && isKnown {
		c.NodePorts = clipRange(nodePorts, r)
		if c.NodePorts.First != 0 && c.Reserved.CountIn(c.NodePorts) == c.NodePorts.Len() {
			c.NodePorts = ports.Range{}
		}
	}
	return c, c.NodePorts.First != 0 || len(c.Listening)+len(c.Services)+len(c.Held) > 0
}

// listConfiguredListeners returns the listening ports of the range that were probably chosen by
// configuration. bind(0) chooses ports of the parity that connect() tries last; a listener on
// one of them is considered only if others can reach it or the port is a service's.
func listConfiguredListeners(n *socket.Network) (list []uint16) {
	r := n.Settings.Range
	isConfigured := func(port uint16) bool { return (port-r.First)%2 == 0 || ports.IsService(port) }
	if n.Evidence.Listeners == nil {
		for _, port := range n.ListenPorts {
			if isConfigured(port) {
				list = append(list, port)
			}
		}
		return list
	}
	for _, l := range n.Evidence.Listeners {
		if port := l.Port(); !slices.Contains(list, port) && (isConfigured(port) || !l.Addr().IsLoopback()) {
			list = append(list, port)
		}
	}
	return list
}

// clipRange returns the part of r inside outer, the zero value if there is none.
func clipRange(r, outer ports.Range) ports.Range {
	first, last := max(r.First, outer.First), min(r.Last, outer.Last)
	if r.First == 0 || first > last {
		return ports.Range{}
	}
	return ports.Range{First: first, Last: last}
}

// Describe returns the ports in words, with the connection that uses one of them if there is
// any.
func (c Collision) Describe() string {
	var parts []string
	if c.NodePorts.First != 0 {
		parts = append(parts, fmt.Sprintf("NodePorts (%v)", c.NodePorts))
	}
	if len(c.Listening) > 0 {
		parts = append(parts, "listening ports ("+formatPorts(c.Listening)+")")
	}
	if len(c.Services) > 0 {
		parts = append(parts, "ports of services ("+formatPorts(c.Services)+")")
	}
	text := fmt.Sprintf("the ephemeral range %v of %s covers %s", c.Range, c.Network, strings.Join(parts, ", "))
	if len(parts) == 0 {
		text = fmt.Sprintf("the ephemeral range %v of %s covers ports of services", c.Range, c.Network)
	}
	if len(c.Held) > 0 {
		h := c.Held[0]
		text += fmt.Sprintf("; port %d is in use by a connection of %s to %v", h.Port, formatProcess(h.Process, NetworkState{}), h.Peer)
	}
	return text
}

// formatPorts returns the first ports, and the number of the others.
func formatPorts(list []uint16) string {
	const shown = 4
	var words []string
	for _, port := range list[:min(shown, len(list))] {
		words = append(words, fmt.Sprint(port))
	}
	if more := len(list) - shown; more > 0 {
		words = append(words, fmt.Sprintf("%d more", more))
	}
	return strings.Join(words, ", ")
}

// Reservation returns the ports to reserve, in the format of net.ipv4.ip_local_reserved_ports,
// with those that are reserved already.
func (c Collision) Reservation() string {
	var all ports.Set
	all.AddAll(c.Reserved)
	if c.NodePorts.First != 0 {
		all.AddRange(c.NodePorts)
	}
	for _, list := range [][]uint16{c.Listening, c.Services} {
		for _, port := range list {
			all.Add(port)
		}
	}
	for _, h := range c.Held {
		all.Add(h.Port)
	}
	return all.String()
}

// evaluateCollision matches if the ephemeral range covers ports that others own, whatever its
// usage.
func evaluateCollision(e *Evidence, _ portBreakdown) (Diagnosis, bool) {
	if len(e.Collisions) == 0 {
		return Diagnosis{}, false
	}
	c := e.Collisions[0]
	d := Diagnosis{
		Cause:   v1alpha1.CausePortRangeCollision,
		Finding: e.notPorts() + c.Describe() + ".",
		Remedy:  "A service whose port a connection has gets EADDRINUSE: move the range above the services, or reserve their ports, not only those that listen now.",
		Setting: e.newSysctl(settings.KeyLocalReservedPorts, c.Reservation(), ""),
	}
	if e.System.IsWindows {
		d.Remedy = "A service whose port a connection has gets WSAEADDRINUSE: move the range above the services, or exclude their ports (NodeTuning windows.excludedPorts): " +
			c.Reservation() + "."
	}
	return d, true
}
