package portpressure

import (
	"context"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
)

// What comes together is told together; and not more often than once in summaryApart.
const (
	summaryDelay = 5 * time.Second
	summaryInterval   = time.Minute
)

// summaryWriter writes one Event that stands for those that the limit has held back. It says
// how the whole cluster is, by the cache, and so it is right at once, however long it
// takes until each node was looked at.
type summaryWriter struct {
	client    client.Client
	clock     clock.Clock
	names     NameResolver
	namespace string
	requests     chan struct{} // holds one
}

// requestEvent makes the summary come, soon.
func (s *summaryWriter) requestEvent() {
	select {
	case s.requests <- struct{}{}:
	default:
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (s *summaryWriter) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable.
func (s *summaryWriter) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.requests:
		}
		if err := s.suppressAgentEvents(ctx); err != nil && ctx.Err() == nil {
			ctrl.LoggerFrom(ctx).Error(err, "agents were not told to leave their Events to the one about many nodes", "namespace", s.namespace)
		}
		if !s.waitFor(ctx, summaryDelay) {
			return nil
		}
		if err := s.writeEvent(ctx); err != nil && ctx.Err() == nil {
			ctrl.LoggerFrom(ctx).Error(err, "the Event about many nodes was not written", "namespace", s.namespace)
		}
		if !s.waitFor(ctx, summaryInterval-summaryDelay) {
			return nil
		}
	}
}

func (s *summaryWriter) waitFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-s.clock.After(d):
		return true
	}
}

// writeEvent makes a new Event each time, on the controller's namespace. The recorder would
// make a series of them, and in a series the note stays as it was first: events.k8s.io/v1
// has it immutable.
func (s *summaryWriter) writeEvent(ctx context.Context) error {
	list := &v1alpha1.PortPressureList{}
	if err := s.client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	c := summarizeFleet(list.Items)
	kind := corev1.EventTypeWarning
	if c.isHealthy() {
		kind = corev1.EventTypeNormal
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return s.client.Create(ctx, &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: s.namespace, GenerateName: "portreeve-many-nodes-"},
		EventTime:           metav1.NewMicroTime(s.clock.Now()),
		ReportingController: v1alpha1.ReportingController,
		ReportingInstance:   v1alpha1.ReportingController + "-" + host,
		Action:              actionPorts,
		Reason:              v1alpha1.ReasonManyNodes,
		Type:                kind,
		Note:                c.formatNote(s.names.ResolveName(ctx, c.findMainEndpoint().destination).String()),
		Regarding:           corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Namespace: s.namespace, Name: s.namespace},
	})
}
