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

// A summary is delayed so that it covers changes that come together. There is at most one
// per summaryInterval.
const (
	summaryDelay    = 5 * time.Second
	summaryInterval = time.Minute
)

// summaryWriter writes one Event in place of those beyond the rate limit. It summarizes
// all nodes in the cache, so it is complete even while many nodes still wait to be
// reconciled.
type summaryWriter struct {
	client    client.Client
	clock     clock.Clock
	names     NameResolver
	namespace string
	requests  chan struct{} // with a buffer of one
}

// requestEvent requests a summary; it does not block.
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
			ctrl.LoggerFrom(ctx).Error(err, "failed to renew the event-suppression Lease", "namespace", s.namespace)
		}
		if !s.waitFor(ctx, summaryDelay) {
			return nil
		}
		if err := s.writeEvent(ctx); err != nil && ctx.Err() == nil {
			ctrl.LoggerFrom(ctx).Error(err, "failed to write the Event about many nodes", "namespace", s.namespace)
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

// writeEvent creates a new Event each time, about the controller's namespace. The recorder
// would make a series of them, in which the first note stays: notes are immutable in
// events.k8s.io/v1.
func (s *summaryWriter) writeEvent(ctx context.Context) error {
	list := &v1alpha1.PortPressureList{}
	if err := s.client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	fleet := summarizeFleet(list.Items)
	kind := corev1.EventTypeWarning
	if fleet.isHealthy() {
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
		Note:                fleet.formatNote(s.names.ResolveName(ctx, fleet.findMainEndpoint().destination).String()),
		Regarding:           corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Namespace: s.namespace, Name: s.namespace},
	})
}
