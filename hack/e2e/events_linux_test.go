package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// listPodEvents returns the Events that agents wrote about a pod, by time.
func (c cluster) listPodEvents(t *testing.T, namespace, pod string) ([]eventsv1.Event, error) {
	t.Helper()
	var list eventsv1.EventList
	err := c.kubectlGet(t, &list, "events.events.k8s.io", "--namespace", namespace)
	list.Items = slices.DeleteFunc(list.Items, func(e eventsv1.Event) bool {
		return e.ReportingController != v1alpha1.ReportingAgent || e.Regarding.Kind != "Pod" || e.Regarding.Name != pod
	})
	slices.SortFunc(list.Items, func(a, b eventsv1.Event) int { return a.EventTime.Compare(b.EventTime.Time) })
	return list.Items, err
}

// checkPodEvents checks that the pod's Events name the destination whose ports run out, and
// that they were written in time.
func checkPodEvents(t *testing.T, c cluster) {
	reasons := []string{v1alpha1.ReasonHeadroomCritical, v1alpha1.ReasonPortsExhausted}
	var events []eventsv1.Event
	waitFor(t, 30*time.Second, "shop/checkout has its Events", func() (err error) {
		events, err = c.listPodEvents(t, "shop", "checkout")
		for _, reason := range reasons {
			if err == nil && !slices.ContainsFunc(events, func(e eventsv1.Event) bool { return e.Reason == reason }) {
				err = fmt.Errorf("no %s among %d Events", reason, len(events))
			}
		}
		return err
	})
	for _, e := range events {
		t.Logf("%s %s %s, written within %.1f s: %s", e.EventTime.Format(time.TimeOnly), e.Type, e.Reason,
			e.CreationTimestamp.Add(time.Second).Sub(e.EventTime.Time).Seconds(), e.Note)
		if !strings.Contains(e.Note, "10.96.0.50:5432") || e.ReportingInstance != "a" || e.Type != corev1.EventTypeWarning {
			t.Errorf("by %s: %s %s", e.ReportingInstance, e.Type, e.Note)
		}
		if e.CreationTimestamp.Sub(e.EventTime.Time) > 5*time.Second {
			t.Errorf("%s was written at %v", e.Reason, e.CreationTimestamp)
		}
	}
	if shown := c.runKubectl(t, "describe", "pod", "--namespace", "shop", "checkout"); !strings.Contains(shown, v1alpha1.ReasonHeadroomCritical) {
		t.Errorf("kubectl describe does not show the Event: %s", shown)
	}
	c.checkEventLatency(t, events)
}

// checkEventLatency compares the time when the pool exceeded the critical threshold, which
// follows from the application's rate, with the time of the Event.
func (c cluster) checkEventLatency(t *testing.T, events []eventsv1.Event) {
	t.Helper()
	const toCritical = 17 * time.Second // 850 ports, 50 a second
	const limit = 2*10*time.Second + 5*time.Second
	var pod corev1.Pod
	if err := c.kubectlGet(t, &pod, "pod", "--namespace", "shop", "checkout"); err != nil {
		t.Fatal(err)
	}
	started := pod.Status.ContainerStatuses[0].State.Running.StartedAt
	for _, e := range events {
		if e.Reason != v1alpha1.ReasonHeadroomCritical {
			continue
		}
		took := e.CreationTimestamp.Sub(started.Add(toCritical))
		t.Logf("from the critical threshold to the Event: about %v", took)
		if took > limit {
			t.Errorf("%v, want %v", took, limit)
		}
		return
	}
}

// countCriticalEvents returns the names of the pod's HeadroomCritical Events, the time of the
// first one, and the number of occurrences.
func (c cluster) countCriticalEvents(t *testing.T) (names []string, first time.Time, count int32) {
	t.Helper()
	events, err := c.listPodEvents(t, "shop", "checkout")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Reason != v1alpha1.ReasonHeadroomCritical {
			continue
		}
		if count == 0 {
			first = e.EventTime.Time
		}
		names, count = append(names, e.Name), count+1
		if e.Series != nil {
			count += e.Series.Count - 1
		}
	}
	return names, first, count
}
