package portpressure

import (
	"fmt"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// agentPodState is the state of an agent's pod.
type agentPodState int

const (
	agentPodAbsent agentPodState = iota // the node has no agent pod
	agentPodNotReady
	agentPodReady
)

// agentObservation is the input of decideAgentLabel for one node.
type agentObservation struct {
	now time.Time
	// label is the current value of v1alpha1.LabelAgent.
	label string
	pod   agentPodState
	// podSince is when this process first saw pod in this state. A node's clock may be
	// wrong, and a missing pod has no timestamp.
	podSince time.Time
	// created is when the PortPressure was created, and reported when its status was
	// last written, both by the API server's clock. reported is zero before the first
	// report.
	created, reported time.Time
}

// labelDecision is the result of decideAgentLabel.
type labelDecision struct {
	label string
	// reason explains the label v1alpha1.AgentSilent; it is empty for the others.
	reason string
	// nextCheck is when the decision changes if nothing else does. Zero means never.
	nextCheck time.Time
}

// agentTimeouts are the times after which an agent counts as missing.
type agentTimeouts struct {
	// grace is how long a pod may be absent or not ready, and how long a ready pod may
	// take until its first report: replacing a pod takes time.
	grace time.Duration
	// heartbeat is the longest interval between two reports of a healthy agent.
	heartbeat time.Duration
}

// decideAgentLabel returns the label for the agent. The label stays during the grace
// period.
func decideAgentLabel(o agentObservation, timeouts agentTimeouts) labelDecision {
	stale := o.reported.Add(2 * timeouts.heartbeat)
	if o.pod == agentPodReady && !o.reported.IsZero() && o.now.Before(stale) {
		return labelDecision{nextCheck: stale}
	}
	if until := o.computeGraceEnd(timeouts.grace); o.now.Before(until) {
		return labelDecision{label: o.label, nextCheck: until}
	}
	switch {
	case o.pod == agentPodAbsent:
		return labelDecision{label: v1alpha1.AgentNone}
	case o.pod == agentPodNotReady:
		return labelDecision{label: v1alpha1.AgentSilent, reason: "its pod is not ready"}
	case o.reported.IsZero():
		return labelDecision{label: v1alpha1.AgentSilent, reason: "its pod is ready but has never reported. Check the pod's log"}
	default:
		at := o.reported.UTC().Format(time.RFC3339)
		return labelDecision{label: v1alpha1.AgentSilent, reason: fmt.Sprintf("its pod is ready but last reported at %s. Check the pod's log", at)}
	}
}

// computeGraceEnd returns the end of the grace period. For a ready pod it starts no
// earlier than the object was created: before that there was nothing to report to.
func (o agentObservation) computeGraceEnd(grace time.Duration) time.Time {
	from := o.podSince
	if o.pod == agentPodReady && o.created.After(from) {
		from = o.created
	}
	return from.Add(grace)
}
