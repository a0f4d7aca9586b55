package selftest

import (
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// Check is one question and its answer: Verified, where Windows did what Portreeve
// counts on; Unsupported, where it did not; Assumed, where that stayed open.
type Check struct {
	Name    string                 `json:"name"`
	State   socket.CapabilityState `json:"state"`
	Finding string                 `json:"finding"`
}

// Report is all that was found. It has no addresses but loopback's, and no names of
// processes.
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

// CopyStatus takes what a status has beside addresses and names.
func (r *Report) CopyStatus(s *v1alpha1.PortPressureStatus) {
	r.AgentVersion, r.Platform = s.AgentVersion, s.Platform
	r.Capabilities, r.Windows, r.Failures, r.Unobserved = s.Capabilities, s.Windows, s.Failures, s.Unobserved
	if s.ObservedAt != nil {
		r.Taken = s.ObservedAt.Time
	}
}
