package report

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"portreeve.io/portreeve/agent/report/podevents"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

// newTestEvent returns an Event about a pod with that count.
func newTestEvent(name string, count int) podevents.Event {
	return podevents.Event{
		Pod:  podevents.Pod{Namespace: "default", Name: "checkout", UID: "3f2a9c1e-5b7d-4a10-9d57-7d1d2f0c6b11"},
		Name: "checkout." + name, Reason: v1alpha1.ReasonHeadroomCritical, Warning: true,
		Note: strings.Repeat("é", 512), At: time.Now(), Count: count,
	}
}

// Events are written to a real API server, whose validation is stricter than the type.
func TestEventsOnARealServer(t *testing.T) {
	config := testenv.StartIsolated(t).Config
	client, err := NewClient(config, "test")
	if err != nil {
		t.Fatal(err)
	}
	api := kubernetes.NewForConfigOrDie(config).EventsV1().Events("default")
	logged := &strings.Builder{}
	e := NewEventWriter(client, "node-a", "default", slog.New(slog.NewTextHandler(logged, nil)))
	e.drawDelay = func() time.Duration { return 0 }
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); e.Run(ctx) }()

	atStart := newTestEvent("first", 1)
	atStart.PresentAtStart = true
	rejected := newTestEvent("rejected", 1)
	rejected.Pod.Namespace = "not-there"
	first := newTestEvent("first", 1)
	e.OfferEvents([]podevents.Event{
		first,                                              // created
		atStart,                                            // exists already, not counted
		newTestEvent("first", 1), newTestEvent("first", 3), // by a restarted agent, and counted
		newTestEvent("expired", 2), // the first one no longer exists, created
		rejected,                   // dropped
		newTestEvent("last", 1),
	})
	begin := time.Now()
	awaitCondition(t, "the last Event", func() bool {
		_, err := api.Get(t.Context(), "checkout.last", metav1.GetOptions{})
		return err == nil
	})
	t.Logf("6 Events written after %v", time.Since(begin))
	stop()
	<-done

	got, err := api.Get(t.Context(), "checkout.first", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Series == nil || got.Series.Count != 3 || got.Series.LastObservedTime.Before(&got.EventTime) {
		t.Errorf("series %+v", got.Series)
	}
	want := &eventsv1.Event{
		EventTime: got.EventTime, Series: got.Series, ObjectMeta: got.ObjectMeta,
		ReportingController: "portreeve.io/agent", ReportingInstance: "node-a", Action: "MeasurePorts",
		Reason: "HeadroomCritical", Type: "Warning", Note: first.Note,
		Regarding: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "default", Name: "checkout", UID: "3f2a9c1e-5b7d-4a10-9d57-7d1d2f0c6b11"},
		Related:   &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: "node-a"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if off := got.EventTime.Sub(first.At); off > time.Microsecond || off < -time.Microsecond {
		t.Errorf("the EventTime differs by %v", off)
	}
	again, err := api.Get(t.Context(), "checkout.expired", metav1.GetOptions{})
	if err != nil || again.Series != nil {
		t.Errorf("%v, %+v", err, again.Series)
	}
	if n := strings.Count(logged.String(), "level=WARN"); n != 1 || !strings.Contains(logged.String(), "not-there") {
		t.Errorf("logged %s", logged)
	}
}

// While the controller writes one Event for many nodes, agents write none.
func TestEventsAreSuppressedWhileTheLeaseIsValid(t *testing.T) {
	config := testenv.StartIsolated(t).Config
	client, err := NewClient(config, "test")
	if err != nil {
		t.Fatal(err)
	}
	leases := kubernetes.NewForConfigOrDie(config).CoordinationV1().Leases("default")
	ago := func(d time.Duration) *metav1.MicroTime { return new(metav1.NewMicroTime(time.Now().Add(-d))) }
	lease, err := leases.Create(t.Context(), &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.EventSuppressionLease},
		Spec:       coordinationv1.LeaseSpec{RenewTime: ago(0), LeaseDurationSeconds: new(int32(65))},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := leases.Delete(context.WithoutCancel(t.Context()), lease.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	e := NewEventWriter(client, "node-a", "default", slog.New(slog.DiscardHandler))
	e.drawDelay = func() time.Duration { return 0 }
	go e.Run(t.Context())
	awaitCondition(t, "the start of event suppression", func() bool { return e.isSuppressed(t.Context()) })
	e.OfferEvents([]podevents.Event{newTestEvent("suppressed", 1), newTestEvent("second", 1)}) // the first is handled when the second is taken from the queue
	awaitCondition(t, "an empty queue", func() bool { return len(e.queue) == 0 })
	lease.Spec.RenewTime = ago(66 * time.Second)
	if _, err := leases.Update(t.Context(), lease, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, "the end of event suppression", func() bool { return !e.isSuppressed(t.Context()) })
	e.OfferEvents([]podevents.Event{newTestEvent("after", 1)})
	api := kubernetes.NewForConfigOrDie(config).EventsV1().Events("default")
	awaitCondition(t, "an Event after the suppression", func() bool {
		_, err := api.Get(t.Context(), "checkout.after", metav1.GetOptions{})
		return err == nil
	})
	if _, err := api.Get(t.Context(), "checkout.suppressed", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the suppressed Event was written: %v", err)
	}
	elsewhere := NewEventWriter(client, "node-a", "not-there", slog.New(slog.DiscardHandler))
	if elsewhere.isSuppressed(t.Context()) {
		t.Error("Events are suppressed without a Lease")
	}
}

// A pending Event is dropped if event suppression starts before it is written.
func TestAnEventIsDelayedSoThatItCanBeSuppressed(t *testing.T) {
	for range 100 {
		if d := drawEventDelay(); d < 3*time.Second || d > 5*time.Second {
			t.Fatalf("an Event is delayed by %v, want 3 s to 5 s", d)
		}
	}
}
