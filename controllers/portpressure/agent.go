package portpressure

import (
	"fmt"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// agentPodState is how an agent's pod looks.
type agentPodState int

const (
	agentPodAbsent   agentPodState = iota // the node has none
	agentPodNotReady                 // there is one, and it isn't ready
	agentPodReady
)

// agentObservation is what is known of one node's agent.
type agentObservation struct {
	now time.Time
	// label is the value of v1alpha1.LabelAgent now.
	label string
	pod   agentPodState
	// podSince is when pod was first seen as it is, by this process's clock. A node's
	// clock may be wrong, and a missing pod has no time at all.
	podSince time.Time
	// created is when the PortPressure was, and reported when its status was written
	// last, both by the API server's clock. reported is zero before the first report.
	created, reported time.Time
}

// labelDecision is what follows for the label.
type labelDecision struct {
	label string
	// reason is a sentence for people, for the label v1alpha1.AgentSilent.
	reason string
	// nextCheck is when the verdict changes if nothing else does. Zero: never.
	nextCheck time.Time
}

// agentTimeouts is how long to wait.
type agentTimeouts struct {
	// grace is how long a pod may be absent or not ready, and how long a ready one
	// may take to its first report: pods are replaced, and that is no news.
	grace time.Duration
	// heartbeat is how often a healthy agent reports at least.
	heartbeat time.Duration
}

// decideAgentLabel says how the agent is to be labelled. The label stays while a grace lasts.
func decideAgentLabel(s agentObservation, p agentTimeouts) labelDecision {
	stale := s.reported.Add(2 * p.heartbeat)
	if s.pod == agentPodReady && !s.reported.IsZero() && s.now.Before(stale) {
		return labelDecision{nextCheck: stale}
	}
	if until := s.computeGraceEnd(p.grace); s.now.Before(until) {
		return labelDecision{label: s.label, nextCheck: until}
	}
	switch {
	case s.pod == agentPodAbsent:
		return labelDecision{label: v1alpha1.AgentNone}
	case s.pod == agentPodNotReady:
		return labelDecision{label: v1alpha1.AgentSilent, reason: "its pod is not ready"}
	case s.reported.IsZero():
		return labelDecision{label: v1alpha1.AgentSilent, reason: "its pod is ready, but it has never reported: its log says why"}
	default:
		at := s.reported.UTC().Format(time.RFC3339)
		return labelDecision{label: v1alpha1.AgentSilent, reason: fmt.Sprintf("its pod is ready, but it reported last at %s: its log says why", at)}
	}
}

// computeGraceEnd is the end of the grace. An object that is new starts it anew for a pod
// that is ready: there was nothing to report to.
func (s agentObservation) computeGraceEnd(grace time.Duration) time.Time {
	from := s.podSince
	if s.pod == agentPodReady && s.created.After(from) {
		from = s.created
	}
	return from.Add(grace)
}
