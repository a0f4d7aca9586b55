package portpressure

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/transition"
	"portreeve.io/portreeve/internal/eventlimit"
)

// reportLevel writes the level into the status as the node's agent does.
func (h *harness) reportLevel(level v1alpha1.Level) {
	h.Helper()
	p := &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	used := map[v1alpha1.Level]int32{v1alpha1.LevelNormal: 10, v1alpha1.LevelWarning: 60, v1alpha1.LevelCritical: 90}[level]
	body := fmt.Sprintf(`{"status":{"observedAt":%q,"level":%q,"usedPercent":%d,"tightest":{"summary":"shop/api → 10.0.0.9:5432","destination":"10.0.0.9","port":5432,"used":%d,"capacity":100}}}`,
		h.clock.Now().Format(time.RFC3339), level, used, used)
	if err := h.client.Patch(h.Context(), p, client.RawPatch("application/merge-patch+json", []byte(body))); err != nil {
		h.Fatal(err)
	}
	h.writes = nil
}

// repeatForBothObjects returns an Event for the PortPressure and for the Node.
func repeatForBothObjects(event string) []string {
	return []string{"*v1alpha1.PortPressure " + event, "*v1.PartialObjectMetadata " + event}
}

func TestALevelIsReportedOnceByAnyLeader(t *testing.T) {
	h := newHarness(t, newNode("1"), newAgentPod("a", corev1.ConditionTrue), newReportedPressure(start))
	h.reportLevel(v1alpha1.LevelCritical)
	h.reconcile()
	h.expectWrites([]string{`patch {"metadata":{"annotations":{"portreeve.io/last-notified":"{\"level\":\"Critical\"}"},"resourceVersion":"1000"}}`},
		repeatForBothObjects("Warning HeadroomCritical: 90 % of ports in use (90/100): shop/api → 10.0.0.9:5432 (Service shop/db)."))
	h.reconcile()
	h.expectWrites(nil, nil)

	h.restartController()
	h.reconcile()
	h.expectWrites(nil, nil) // the Event is not repeated

	h.reportLevel(v1alpha1.LevelNormal) // while there is no leader
	h.restartController()
	h.reconcile()
	h.expectWrites([]string{`patch {"metadata":{"annotations":null,"resourceVersion":"1002"}}`}, repeatForBothObjects("Normal HeadroomRestored: All pools are below the warning threshold again."))

	h.reportLevel(v1alpha1.LevelWarning) // and back to Normal before the next reconcile
	h.reportLevel(v1alpha1.LevelNormal)
	h.restartController()
	h.reconcile()
	h.expectWrites(nil, nil)
}

func TestAFlappingNodeIsReportedSixTimesAnHour(t *testing.T) {
	h := newHarness(t, newNode("1"), newAgentPod("a", corev1.ConditionTrue), newReportedPressure(start))
	var reported []time.Time
	reconcileOnce := func() {
		h.reconcile()
		for range len(h.events) / 2 {
			reported = append(reported, h.clock.Now())
		}
		h.writes, h.events = nil, nil
	}
	for i := range 200 { // one change a minute, the most that an agent writes
		h.reportLevel([]v1alpha1.Level{v1alpha1.LevelCritical, v1alpha1.LevelNormal}[i%2])
		reconcileOnce()
		h.clock.Step(time.Minute)
	}
	for i := range reported {
		if last := i + eventlimit.ObjectHourlyLimit; last < len(reported) && reported[last].Sub(reported[i]) < time.Hour {
			t.Errorf("%d Events from %v to %v", eventlimit.ObjectHourlyLimit+1, reported[i], reported[last])
		}
	}
	if len(reported) < 3*eventlimit.ObjectHourlyLimit || len(reported) > 4*eventlimit.ObjectHourlyLimit {
		t.Errorf("%d Events in 200 minutes", len(reported))
	}
}

func TestTheFinalLevelOfAFlappingNodeIsReported(t *testing.T) {
	h := newHarness(t, newNode("1"), newAgentPod("a", corev1.ConditionTrue), newReportedPressure(start))
	for i := range 20 {
		h.reportLevel([]v1alpha1.Level{v1alpha1.LevelWarning, v1alpha1.LevelNormal}[i%2])
		h.reconcile()
	}
	h.writes, h.events = nil, nil
	h.clock.Step(10 * time.Minute)
	h.reportLevel(v1alpha1.LevelNormal)
	next := h.reconcile().RequeueAfter
	h.expectWrites(nil, nil)
	if next != 50*time.Minute {
		t.Errorf("requeued after %v, want 50 min, when the first Event is an hour old", next)
	}
	h.reportLevel(v1alpha1.LevelCritical) // the budget has an Event left for changes for the worse
	h.reconcile()
	h.expectWrites([]string{`patch {"metadata":{"annotations":{"portreeve.io/last-notified":"{\"level\":\"Critical\"}"},"resourceVersion":"1026"}}`},
		repeatForBothObjects("Warning HeadroomCritical: 90 % of ports in use (90/100): shop/api → 10.0.0.9:5432 (Service shop/db)."))
	h.reportLevel(v1alpha1.LevelNormal)
	next = h.reconcile().RequeueAfter
	h.expectWrites(nil, nil)
	h.clock.Step(next)
	h.reconcile()
	h.expectWrites([]string{`patch {"metadata":{"annotations":null,"resourceVersion":"1028"}}`}, repeatForBothObjects("Normal HeadroomRestored: All pools are below the warning threshold again."))
}

func TestEventsOfManyNodesAreBounded(t *testing.T) {
	h := newHarness(t)
	p, v := newReportedPressure(start), labelDecision{label: v1alpha1.AgentSilent}
	change := []transition.Change{{Reason: v1alpha1.ReasonHeadroomLow, Type: corev1.EventTypeWarning}}
	writeManyEvents := func() {
		for range 5 * eventBurst { // both kinds share one limit
			h.r.events.notifyAgentChange(&metav1.PartialObjectMetadata{}, p, "", v)
			h.r.events.notifyChanges(t.Context(), &metav1.PartialObjectMetadata{}, p, change)
		}
	}
	writeManyEvents()
	if got, want := len(h.events), 2*eventBurst; got != want {
		t.Errorf("%d Events at once, want %d", got, want)
	}
	h.clock.SetTime(start.Add(3 * time.Second))
	writeManyEvents()
	if got, want := len(h.events), 2*(eventBurst+3*eventsPerSecond); got != want {
		t.Errorf("%d Events three seconds later, want %d", got, want)
	}
}

func TestSuppressedEventsAreSummarizedOnceAMinute(t *testing.T) {
	var objects []client.Object
	for i := range 30 {
		p := newReportedPressure(start)
		p.Name, p.Status.Level = fmt.Sprint("n", i), v1alpha1.LevelCritical
		p.Status.Tightest = &v1alpha1.Pool{Destination: "10.0.0.9", Port: 5432}
		objects = append(objects, p)
	}
	h := newHarness(t, objects...)
	s := h.r.events.summary
	ended := make(chan error)
	go func() { ended <- s.Start(t.Context()) }()
	notes := func() (notes []string) {
		list := &eventsv1.EventList{}
		if err := h.client.List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Items {
			notes = append(notes, fmt.Sprintf("%s %s on %s %s: %s", e.Type, e.Reason, e.Regarding.Kind, e.Regarding.Name, e.Note))
		}
		return notes
	}
	waitForTimer := func() {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); !h.clock.HasWaiters(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the summary writer does not wait for the clock")
			}
		}
	}
	writeManyEvents := func() {
		for range eventBurst + 2 {
			h.r.events.allowsEvent()
		}
	}
	writeManyEvents()
	waitForTimer()
	if got := notes(); len(got) != 0 {
		t.Fatalf("written at once: %q", got)
	}
	h.clock.Step(summaryDelay)
	waitForTimer()
	const want = "Warning ManyNodes on Namespace portreeve-system: Of 30 nodes, 30 Critical; 30 of the Critical nodes connect to 10.0.0.9:5432 (Service shop/db). List them with: kubectl get portpressures"
	if got := notes(); len(got) != 1 || got[0] != want {
		t.Fatalf("wrote %q\nwant %q", got, want)
	}
	writeManyEvents()
	h.clock.Step(summaryInterval - summaryDelay - 1)
	waitForTimer()
	if got := notes(); len(got) != 1 {
		t.Fatalf("written within the minute: %q", got)
	}
	h.clock.Step(1)
	waitForTimer() // the delay starts again
	h.clock.Step(summaryDelay)
	waitForTimer()
	if got := notes(); len(got) != 2 || !strings.HasPrefix(got[1], "Warning ManyNodes") {
		t.Fatalf("wrote %q after a minute", got)
	}
}
