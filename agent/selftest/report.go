package selftest

import (
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// Check is the result of one check: Verified if Windows behaved as Portreeve assumes,
// Unsupported if it did not, Assumed if the result is inconclusive.
type Check struct {
	Name    string                 `json:"name"`
	State   socket.CapabilityState `json:"state"`
	Finding string                 `json:"finding"`
}

// Report contains all results. It contains no addresses except loopback, and no process
// names.
type Report struct {
	AgentVersion string                `json:"agentVersion"`
	Taken        time.Time             `json:"taken"`
	Platform     v1alpha1.Platform     `json:"platform"`
	Checks       []Check               `json:"checks"`
	Capabilities []v1alpha1.Capability `json:"capabilities"`
	Windows      *v1alpha1.Windows     `json:"windows,omitempty"`
	Failures     []v1alpha1.Failure    `json:"failures,omitempty"`
	Unobserved   []v1alpha1.Unobserved `json:"unobserved,omitempty"`
}

// CopyStatus copies the parts of a status that contain no addresses or names.
func (r *Report) CopyStatus(s *v1alpha1.PortPressureStatus) {
	r.AgentVersion, r.Platform = s.AgentVersion, s.Platform
	r.Capabilities, r.Windows, r.Failures, r.Unobserved = s.Capabilities, s.Windows, s.Failures, s.Unobserved
	if s.ObservedAt != nil {
		r.Taken = s.ObservedAt.Time
	}
}
