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

// newTestEvent is an Event about a pod, a second time where count is 2.
func newTestEvent(name string, count int) podevents.Event {
	return podevents.Event{
		Pod:  podevents.Pod{Namespace: "default", Name: "checkout", UID: "3f2a9c1e-5b7d-4a10-9d57-7d1d2f0c6b11"},
		Name: "checkout." + name, Reason: v1alpha1.ReasonHeadroomCritical, Warning: true,
		Note: strings.Repeat("é", 512), At: time.Now(), Count: count,
	}
}

// A real API server takes what is written: its validation is stricter than the type.
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

	standing := newTestEvent("first", 1)
	standing.PresentAtStart = true
	gone := newTestEvent("gone", 1)
	gone.Pod.Namespace = "not-there"
	first := newTestEvent("first", 1)
	e.OfferEvents([]podevents.Event{
		first,                                              // made
		standing,                                           // there already: nothing
		newTestEvent("first", 1), newTestEvent("first", 3), // by an agent that started anew, and again
		newTestEvent("expired", 2), // the first one is gone: made
		gone,                       // dropped
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
		t.Errorf("the time is off by %v", off)
	}
	again, err := api.Get(t.Context(), "checkout.expired", metav1.GetOptions{})
	if err != nil || again.Series != nil {
		t.Errorf("%v, %+v", err, again.Series)
	}
	if n := strings.Count(logged.String(), "level=WARN"); n != 1 || !strings.Contains(logged.String(), "not-there") {
		t.Errorf("logged %s", logged)
	}
}

// While the controller's Event stands for many nodes, agents write none.
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
	awaitCondition(t, "a storm that has just begun", func() bool { return e.isSuppressed(t.Context()) })
	e.OfferEvents([]podevents.Event{newTestEvent("buried", 1), newTestEvent("taken", 1)}) // the one is done with when the other is taken
	awaitCondition(t, "the queue's end", func() bool { return len(e.queue) == 0 })
	lease.Spec.RenewTime = ago(66 * time.Second)
	if _, err := leases.Update(t.Context(), lease, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, "its end", func() bool { return !e.isSuppressed(t.Context()) })
	e.OfferEvents([]podevents.Event{newTestEvent("after", 1)})
	api := kubernetes.NewForConfigOrDie(config).EventsV1().Events("default")
	awaitCondition(t, "the Event after it", func() bool {
		_, err := api.Get(t.Context(), "checkout.after", metav1.GetOptions{})
		return err == nil
	})
	if _, err := api.Get(t.Context(), "checkout.buried", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Event of the storm is there: %v", err)
	}
	elsewhere := NewEventWriter(client, "node-a", "not-there", slog.New(slog.DiscardHandler))
	if elsewhere.isSuppressed(t.Context()) {
		t.Error("a storm without a Lease")
	}
}

// What waits to be written is dropped when a storm begins meanwhile.
func TestAnEventWaitsSoThatItCanBeSuppressed(t *testing.T) {
	for range 100 {
		if d := drawEventDelay(); d < 3*time.Second || d > 5*time.Second {
			t.Fatalf("an Event waits %v: of the 5 s that it may take, none is left, or too few", d)
		}
	}
}
