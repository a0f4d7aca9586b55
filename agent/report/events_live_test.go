package report

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"portreeve.io/portreeve/agent/internal/apitest"
	"portreeve.io/portreeve/agent/notify"
	"portreeve.io/portreeve/api/v1alpha1"
)

// said is an Event about a pod, a second time where count is 2.
func said(name string, count int) notify.Event {
	return notify.Event{
		Pod:  notify.Pod{Namespace: "default", Name: "checkout", UID: "3f2a9c1e-5b7d-4a10-9d57-7d1d2f0c6b11"},
		Name: "checkout." + name, Reason: v1alpha1.ReasonHeadroomCritical, Warning: true,
		Note: strings.Repeat("é", 512), At: time.Now(), Count: count,
	}
}

// A real API server takes what is written: its validation is stricter than the type.
func TestEventsOnARealServer(t *testing.T) {
	config := apitest.Start(t)
	client, err := NewClient(config, "test")
	if err != nil {
		t.Fatal(err)
	}
	api := kubernetes.NewForConfigOrDie(config).EventsV1().Events("default")
	logged := &strings.Builder{}
	e := NewEvents(client, "node-a", slog.New(slog.NewTextHandler(logged, nil)))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); e.Run(ctx) }()

	standing := said("first", 1)
	standing.Standing = true
	gone := said("gone", 1)
	gone.Pod.Namespace = "not-there"
	first := said("first", 1)
	e.Offer([]notify.Event{
		first,                              // made
		standing,                           // there already: nothing
		said("first", 1), said("first", 3), // by an agent that started anew, and again
		said("expired", 2), // the first one is gone: made
		gone,               // dropped
		said("last", 1),
	})
	begin := time.Now()
	await(t, "the last Event", func() bool {
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
