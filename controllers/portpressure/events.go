package portpressure

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/transition"
)

// The rate limit of Events about all nodes together. Beyond it one summary is written, so
// that one failed database or API server causes one Event.
const (
	eventBurst      = 200
	eventsPerSecond = 1
)

// The actions of Events, which events.k8s.io/v1 requires.
const (
	actionAgent = "WatchAgent"
	actionPorts = "WatchPorts"
)

// notifier writes Events about nodes.
type notifier struct {
	recorder    events.EventRecorder
	rateLimiter flowcontrol.PassiveRateLimiter
	summary     *summaryWriter
	names       NameResolver
}

// notifyAgentChange writes Events if an agent became silent or reports again.
func (n *notifier) notifyAgentChange(node *metav1.PartialObjectMetadata, p *v1alpha1.PortPressure, previousLabel string, decision labelDecision) {
	kind, reason, note := corev1.EventTypeNormal, v1alpha1.ReasonAgentBack, "The agent of this node reports again."
	switch {
	case previousLabel == v1alpha1.AgentSilent && decision.label == "":
	case previousLabel != v1alpha1.AgentSilent && decision.label == v1alpha1.AgentSilent:
		kind, reason, note = corev1.EventTypeWarning, v1alpha1.ReasonAgentSilent, "The agent of this node is silent: "+decision.reason+"."
	default:
		return
	}
	if n.allowsEvent() {
		n.writeEvents(node, p, kind, reason, actionAgent, note)
	}
}

// notifyChanges writes Events about changes of p, whose status must be complete.
func (n *notifier) notifyChanges(ctx context.Context, node *metav1.PartialObjectMetadata, p *v1alpha1.PortPressure, changes []transition.Change) {
	for _, c := range changes {
		if !n.allowsEvent() {
			continue
		}
		name := n.names.ResolveName(ctx, c.Destination(&p.Status)).String()
		n.writeEvents(node, p, c.Type, c.Reason, actionPorts, c.FormatNote(&p.Status, name))
	}
}

// allowsEvent reports whether an Event is within the rate limit. If not, it requests the
// summary.
func (n *notifier) allowsEvent() bool {
	if n.rateLimiter.TryAccept() {
		return true
	}
	n.summary.requestEvent()
	return false
}

// writeEvents writes an Event about each of the two objects: an Event is listed only with
// the object that it regards.
func (n *notifier) writeEvents(node *metav1.PartialObjectMetadata, p *v1alpha1.PortPressure, kind, reason, action, note string) {
	n.recorder.Eventf(p, node, kind, reason, action, "%s", note)
	n.recorder.Eventf(node, p, kind, reason, action, "%s", note)
}
