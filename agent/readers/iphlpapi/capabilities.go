package iphlpapi

import (
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
)

// capabilities are what netsh told, and what is assumed in its place.
func (p *portConfig) capabilities() []socket.Capability {
	dynamic := socket.Capability{Name: "DynamicPorts", State: socket.CapabilityVerified, Message: "netsh"}
	excluded := socket.Capability{Name: "ExcludedPorts", State: socket.CapabilityVerified, Message: "netsh"}
	for _, u := range p.unseen {
		switch u.Item {
		case missDynamic:
			dynamic.State, dynamic.Message = socket.CapabilityAssumed, u.Reason
		case missExcluded:
			excluded.State, excluded.Message = socket.CapabilityUnsupported, u.Reason
		}
	}
	return []socket.Capability{dynamic, excluded}
}

// autoReuse is the range that connect() draws from where an administrator made one.
type autoReuse struct {
	ports *ports.Range
	err   error
}

func (a autoReuse) capability() socket.Capability {
	c := socket.Capability{Name: "AutoReuseRange", State: socket.CapabilityVerified, Message: "none is set"}
	switch {
	case a.err != nil:
		c.State, c.Message = socket.CapabilityUnsupported, a.err.Error()
	case a.ports != nil:
		c.Message = a.ports.String()
	}
	return c
}
