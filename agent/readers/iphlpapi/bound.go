package iphlpapi

import (
	"fmt"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/powershell"
)

const (
	// boundInterval is the minimum time between two readings of the bound ports.
	boundInterval = 5 * time.Minute
	// boundShare limits the share of the time that is spent reading.
	boundShare = 20
)

// boundPorts is a reading of the ports that are bound without a connection. They are the
// most common leak on Windows (docker/for-win#14859, microsoft/WSL#3951), and the tables of
// the IP Helper API do not have them.
type boundPorts struct {
	isTruncated bool
	err         error
	takes       time.Duration
}

// chooseInterval returns the time until the next reading, so that reading takes at most a
// twentieth of the time.
func (b *boundPorts) chooseInterval() time.Duration { return max(boundInterval, boundShare*b.takes) }

func (b *boundPorts) describeCapability() socket.Capability {
	c := socket.Capability{Name: "BoundPorts", State: socket.CapabilityVerified,
		Message: fmt.Sprintf("Get-NetTCPConnection -State Bound, at most every %v", b.chooseInterval())}
	if b.err != nil {
		c.State, c.Message = socket.CapabilityUnsupported, b.err.Error()
	}
	return c
}

func (b *boundPorts) listUnobserved() []socket.Unobserved {
	switch {
	case b.err != nil:
		return []socket.Unobserved{{Item: "bound ports", Reason: b.err.Error()}}
	case b.isTruncated:
		return []socket.Unobserved{{Item: "bound ports", Reason: fmt.Sprintf("there are more than %d; the rest is not read", powershell.MaxBoundPorts)}}
	}
	return nil
}
