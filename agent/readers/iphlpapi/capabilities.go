package iphlpapi

import (
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
)

// listCapabilities returns what netsh reported, and what is assumed otherwise.
func (p *portConfig) listCapabilities() []socket.Capability {
	dynamic := socket.Capability{Name: "DynamicPorts", State: socket.CapabilityVerified, Message: "netsh"}
	excluded := socket.Capability{Name: "ExcludedPorts", State: socket.CapabilityVerified, Message: "netsh"}
	for _, u := range p.unobserved {
		switch u.Item {
		case itemDynamicPorts:
			dynamic.State, dynamic.Message = socket.CapabilityAssumed, u.Reason
		case itemExcludedPorts:
			excluded.State, excluded.Message = socket.CapabilityUnsupported, u.Reason
		}
	}
	return []socket.Capability{dynamic, excluded}
}

// autoReuseRange is the range from which connect() chooses if an administrator configured
// one.
type autoReuseRange struct {
	ports *ports.Range
	err   error
}

func (a autoReuseRange) describeCapability() socket.Capability {
	c := socket.Capability{Name: "AutoReuseRange", State: socket.CapabilityVerified, Message: "not configured"}
	switch {
	case a.err != nil:
		c.State, c.Message = socket.CapabilityUnsupported, a.err.Error()
	case a.ports != nil:
		c.Message = a.ports.String()
	}
	return c
}
