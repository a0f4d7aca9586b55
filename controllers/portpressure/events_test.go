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

// reportLevel writes the level as the node's agent does, now.
func (b *harness) reportLevel(level v1alpha1.Level) {
	b.Helper()
	p := &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	used := map[v1alpha1.Level]int32{v1alpha1.LevelNormal: 10, v1alpha1.LevelWarning: 60, v1alpha1.LevelCritical: 90}[level]
	body := fmt.Sprintf(`{"status":{"observedAt":%q,"level":%q,"usedPercent":%d,"tightest":{"summary":"shop/api → 10.0.0.9:5432","destination":"10.0.0.9","port":5432,"used":%d,"capacity":100}}}`,
		b.clock.Now().Format(time.RFC3339), level, used, used)
	if err := b.client.Patch(b.Context(), p, client.RawPatch("application/merge-patch+json", []byte(body))); err != nil {
		b.Fatal(err)
	}
	b.writes = nil
}

// repeatForBothObjects is one Event on both objects.
func repeatForBothObjects(event string) []string {
	return []string{"*v1alpha1.PortPressure " + event, "*v1.PartialObjectMetadata " + event}
}

func TestALevelIsReportedOnceByAnyLeader(t *testing.T) {
	b := newHarness(t, newNode("1"), newAgentPod("a", corev1.ConditionTrue), newReportedPressure(start))
	b.reportLevel(v1alpha1.LevelCritical)
	b.reconcile()
	b.expectWrites([]string{`patch {"metadata":{"annotations":{"portreeve.io/last-notified":"{\"level\":\"Critical\"}"},"resourceVersion":"1000"}}`},
		repeatForBothObjects("Warning HeadroomCritical: 90 % of ports in use (90/100): shop/api → 10.0.0.9:5432 (Service shop/db)."))
	b.reconcile()
	b.expectWrites(nil, nil)

	b.restartController()
	b.reconcile()
	b.expectWrites(nil, nil) // what was told is not told again

	b.reportLevel(v1alpha1.LevelNormal) // while nobody leads
	b.restartController()
	b.reconcile()
	b.expectWrites([]string{`patch {"metadata":{"annotations":null,"resourceVersion":"1002"}}`}, repeatForBothObjects("Normal HeadroomRestored: All pools are below the warning threshold again."))

	b.reportLevel(v1alpha1.LevelWarning) // and away again before anybody looked
	b.reportLevel(v1alpha1.LevelNormal)
	b.restartController()
	b.reconcile()
	b.expectWrites(nil, nil)
}

func TestAFlappingNodeIsReportedSixTimesAnHour(t *testing.T) {
	b := newHarness(t, newNode("1"), newAgentPod("a", corev1.ConditionTrue), newReportedPressure(start))
	var told []time.Time
	look := func() {
		b.reconcile()
		for range len(b.events) / 2 {
			told = append(told, b.clock.Now())
		}
		b.writes, b.events = nil, nil
	}
	for i := range 200 { // of its minutes, as an agent may write it at most
		b.reportLevel([]v1alpha1.Level{v1alpha1.LevelCritical, v1alpha1.LevelNormal}[i%2])
		look()
		b.clock.Step(time.Minute)
	}
	for i := range told {
		if last := i + eventlimit.ObjectHourlyLimit; last < len(told) && told[last].Sub(told[i]) < time.Hour {
			t.Errorf("%d Events from %v to %v", eventlimit.ObjectHourlyLimit+1, told[i], told[last])
		}
	}
	if len(told) < 3*eventlimit.ObjectHourlyLimit || len(told) > 4*eventlimit.ObjectHourlyLimit {
		t.Errorf("%d Events in 200 minutes", len(told))
	}
}

func TestTheFinalLevelOfAFlappingNodeIsReported(t *testing.T) {
	b := newHarness(t, newNode("1"), newAgentPod("a", corev1.ConditionTrue), newReportedPressure(start))
	for i := range 20 {
		b.reportLevel([]v1alpha1.Level{v1alpha1.LevelWarning, v1alpha1.LevelNormal}[i%2])
		b.reconcile()
	}
	b.writes, b.events = nil, nil
	b.clock.Step(10 * time.Minute)
	b.reportLevel(v1alpha1.LevelNormal)
	next := b.reconcile().RequeueAfter
	b.expectWrites(nil, nil)
	if next != 50*time.Minute {
		t.Errorf("looked at again after %v, want when the first of them is an hour old", next)
	}
	b.reportLevel(v1alpha1.LevelCritical) // there is a place for what gets worse
	b.reconcile()
	b.expectWrites([]string{`patch {"metadata":{"annotations":{"portreeve.io/last-notified":"{\"level\":\"Critical\"}"},"resourceVersion":"1026"}}`},
		repeatForBothObjects("Warning HeadroomCritical: 90 % of ports in use (90/100): shop/api → 10.0.0.9:5432 (Service shop/db)."))
	b.reportLevel(v1alpha1.LevelNormal)
	next = b.reconcile().RequeueAfter
	b.expectWrites(nil, nil)
	b.clock.Step(next)
	b.reconcile()
	b.expectWrites([]string{`patch {"metadata":{"annotations":null,"resourceVersion":"1028"}}`}, repeatForBothObjects("Normal HeadroomRestored: All pools are below the warning threshold again."))
}

func TestEventsOfManyNodesAreBounded(t *testing.T) {
	b := newHarness(t)
	p, v := newReportedPressure(start), labelDecision{label: v1alpha1.AgentSilent}
	change := []transition.Change{{Reason: v1alpha1.ReasonHeadroomLow, Type: corev1.EventTypeWarning}}
	storm := func() {
		for range 5 * eventBurst { // both kinds have one limit
			b.r.events.notifyAgentChange(&metav1.PartialObjectMetadata{}, p, "", v)
			b.r.events.notifyChanges(t.Context(), &metav1.PartialObjectMetadata{}, p, change)
		}
	}
	storm()
	if got, want := len(b.events), 2*eventBurst; got != want {
		t.Errorf("%d Events at once, want %d", got, want)
	}
	b.clock.SetTime(start.Add(3 * time.Second))
	storm()
	if got, want := len(b.events), 2*(eventBurst+3*eventsPerSecond); got != want {
		t.Errorf("%d Events three seconds later, want %d", got, want)
	}
}

func TestOneEventStandsForManyAndComesOnceAMinute(t *testing.T) {
	var objects []client.Object
	for i := range 30 {
		p := newReportedPressure(start)
		p.Name, p.Status.Level = fmt.Sprint("n", i), v1alpha1.LevelCritical
		p.Status.Tightest = &v1alpha1.Pool{Destination: "10.0.0.9", Port: 5432}
		objects = append(objects, p)
	}
	b := newHarness(t, objects...)
	s := b.r.events.summary
	ended := make(chan error)
	go func() { ended <- s.Start(t.Context()) }()
	notes := func() (notes []string) {
		list := &eventsv1.EventList{}
		if err := b.client.List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Items {
			notes = append(notes, fmt.Sprintf("%s %s on %s %s: %s", e.Type, e.Reason, e.Regarding.Kind, e.Regarding.Name, e.Note))
		}
		return notes
	}
	waits := func() {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); !b.clock.HasWaiters(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it does not wait")
			}
		}
	}
	storm := func() {
		for range eventBurst + 2 {
			b.r.events.allowsEvent()
		}
	}
	storm()
	waits()
	if got := notes(); len(got) != 0 {
		t.Fatalf("told at once: %q", got)
	}
	b.clock.Step(summaryDelay)
	waits()
	const want = "Warning ManyNodes on Namespace portreeve-system: Of 30 nodes, 30 Critical; 30 of the Critical nodes connect to 10.0.0.9:5432 (Service shop/db). List them with: kubectl get portpressures"
	if got := notes(); len(got) != 1 || got[0] != want {
		t.Fatalf("told %q\nwant %q", got, want)
	}
	storm()
	b.clock.Step(summaryInterval - summaryDelay - 1)
	waits()
	if got := notes(); len(got) != 1 {
		t.Fatalf("told within the minute: %q", got)
	}
	b.clock.Step(1)
	waits() // it settles again
	b.clock.Step(summaryDelay)
	waits()
	if got := notes(); len(got) != 2 || !strings.HasPrefix(got[1], "Warning ManyNodes") {
		t.Fatalf("told %q after a minute", got)
	}
}
