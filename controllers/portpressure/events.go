package portpressure

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Events at once, and a second, at most. When thousands of agents fall silent
// together, the first ones say so; labels and metrics say it of each.
const (
	eventBurst     = 200
	eventPerSecond = 1
)

// action is what the controller was doing, as events.k8s.io/v1 wants to know.
const action = "WatchAgent"

type notifier struct {
	recorder events.EventRecorder
	limit    flowcontrol.PassiveRateLimiter
}

func newNotifier(recorder events.EventRecorder, clk clock.PassiveClock) notifier {
	return notifier{recorder, flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(eventPerSecond, eventBurst, clk)}
}

// changed writes an Event on both objects when the agent fell silent or is back. An
// Event is found by the one object that it regards, so it takes two.
func (n notifier) changed(node *metav1.PartialObjectMetadata, p *v1alpha1.PortPressure, was string, v verdict) {
	kind, reason, note := corev1.EventTypeNormal, v1alpha1.ReasonAgentBack, "the agent of this node reports again"
	switch {
	case was == v1alpha1.AgentSilent && v.label == "":
	case was != v1alpha1.AgentSilent && v.label == v1alpha1.AgentSilent:
		kind, reason, note = corev1.EventTypeWarning, v1alpha1.ReasonAgentSilent, "the agent of this node is silent: "+v.why
	default:
		return
	}
	if !n.limit.TryAccept() {
		return
	}
	n.recorder.Eventf(p, node, kind, reason, action, "%s", note)
	n.recorder.Eventf(node, p, kind, reason, action, "%s", note)
}
