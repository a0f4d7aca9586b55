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

// Events at once, and a second, at most, of all nodes together. What is beyond it is
// in the summary: one dead database, or one dead API server, is one Event.
const (
	eventBurst     = 200
	eventsPerSecond = 1
)

// What the controller was doing, as events.k8s.io/v1 wants to know.
const (
	actionAgent = "WatchAgent"
	actionPorts = "WatchPorts"
)

// notifier writes Events about nodes.
type notifier struct {
	recorder events.EventRecorder
	rateLimiter    flowcontrol.PassiveRateLimiter
	summary  *summaryWriter
	names    NameResolver
}

// notifyAgentChange tells that an agent fell silent or is back.
func (n *notifier) notifyAgentChange(node *metav1.PartialObjectMetadata, p *v1alpha1.PortPressure, was string, v labelDecision) {
	kind, reason, note := corev1.EventTypeNormal, v1alpha1.ReasonAgentBack, "the agent of this node reports again"
	switch {
	case was == v1alpha1.AgentSilent && v.label == "":
	case was != v1alpha1.AgentSilent && v.label == v1alpha1.AgentSilent:
		kind, reason, note = corev1.EventTypeWarning, v1alpha1.ReasonAgentSilent, "the agent of this node is silent: "+v.reason
	default:
		return
	}
	if n.allowsEvent() {
		n.writeEvents(node, p, kind, reason, actionAgent, note)
	}
}

// notifyChanges tells of changes of p, which has all of its status.
func (n *notifier) notifyChanges(ctx context.Context, node *metav1.PartialObjectMetadata, p *v1alpha1.PortPressure, changes []transition.Change) {
	for _, c := range changes {
		if !n.allowsEvent() {
			continue
		}
		name := n.names.ResolveName(ctx, c.Destination(&p.Status)).String()
		n.writeEvents(node, p, c.Type, c.Reason, actionPorts, c.FormatNote(&p.Status, name))
	}
}

// allowsEvent says whether an Event may be written of its own; if not, the summary has it.
func (n *notifier) allowsEvent() bool {
	if n.rateLimiter.TryAccept() {
		return true
	}
	n.summary.requestEvent()
	return false
}

// writeEvents writes an Event on both objects: an Event is found by the one object that it
// regards, so it takes two.
func (n *notifier) writeEvents(node *metav1.PartialObjectMetadata, p *v1alpha1.PortPressure, kind, reason, action, note string) {
	n.recorder.Eventf(p, node, kind, reason, action, "%s", note)
	n.recorder.Eventf(node, p, kind, reason, action, "%s", note)
}
