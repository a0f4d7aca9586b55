package portpressure

import (
	"fmt"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// podState is how an agent's pod looks.
type podState int

const (
	podAbsent   podState = iota // the node has none
	podNotReady                 // there is one, and it isn't ready
	podReady
)

// sighting is what is known of one node's agent.
type sighting struct {
	now time.Time
	// label is the value of v1alpha1.LabelAgent now.
	label string
	pod   podState
	// since is when pod was first seen as it is, by this process's clock. A node's
	// clock may be wrong, and a missing pod has no time at all.
	since time.Time
	// created is when the PortPressure was, and reported when its status was written
	// last, both by the API server's clock. reported is zero before the first report.
	created, reported time.Time
}

// verdict is what follows for the label.
type verdict struct {
	label string
	// why is a sentence for people, for the label v1alpha1.AgentSilent.
	why string
	// next is when the verdict changes if nothing else does. Zero: never.
	next time.Time
}

// patience is how long to wait.
type patience struct {
	// grace is how long a pod may be absent or not ready, and how long a ready one
	// may take to its first report: pods are replaced, and that is no news.
	grace time.Duration
	// heartbeat is how often a healthy agent reports at least.
	heartbeat time.Duration
}

// judge says how the agent is to be labelled. The label stays while a grace lasts.
func judge(s sighting, p patience) verdict {
	stale := s.reported.Add(2 * p.heartbeat)
	if s.pod == podReady && !s.reported.IsZero() && s.now.Before(stale) {
		return verdict{next: stale}
	}
	if until := s.graceUntil(p.grace); s.now.Before(until) {
		return verdict{label: s.label, next: until}
	}
	switch {
	case s.pod == podAbsent:
		return verdict{label: v1alpha1.AgentNone}
	case s.pod == podNotReady:
		return verdict{label: v1alpha1.AgentSilent, why: "its pod is not ready"}
	case s.reported.IsZero():
		return verdict{label: v1alpha1.AgentSilent, why: "its pod is ready, but it has never reported: its log says why"}
	default:
		at := s.reported.UTC().Format(time.RFC3339)
		return verdict{label: v1alpha1.AgentSilent, why: fmt.Sprintf("its pod is ready, but it reported last at %s: its log says why", at)}
	}
}

// graceUntil is the end of the grace. An object that is new starts it anew for a pod
// that is ready: there was nothing to report to.
func (s sighting) graceUntil(grace time.Duration) time.Time {
	from := s.since
	if s.pod == podReady && s.created.After(from) {
		from = s.created
	}
	return from.Add(grace)
}
