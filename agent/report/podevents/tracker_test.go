package podevents

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

var (
	begin = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	db    = netip.MustParseAddr("10.0.0.9")
)

const uid = "3f2a9c1e-5b7d-4a10-9d57-7d1d2f0c6b11"

// newNetwork returns the network of pod i, which uses that many of 100 ports to a
// database.
func newNetwork(i, used int) socket.Network {
	return socket.Network{
		Inode: uint64(i + 1), Detailed: true, InUse: used,
		Owner: socket.Owner{Kind: socket.OwnerPod, Namespace: "shop", Pod: fmt.Sprintf("api-%d", i),
			PodUID: fmt.Sprintf("%08d%s", i, uid[8:])},
		Settings: socket.Settings{Range: ports.Range{First: 40000, Last: 40099}},
		Destinations: []socket.Destination{{
			Source: netip.MustParseAddr("10.0.0.4"), Address: db, Port: 5432,
			States: tcpstate.Counts{tcpstate.TimeWait: uint32(used)},
		}},
	}
}

func newSample(at time.Duration, ns ...socket.Network) *socket.Sample {
	return &socket.Sample{Taken: begin.Add(at), Networks: ns}
}

func diagnoseUnknown(socket.Pool) cause.Diagnosis {
	return cause.Diagnosis{Cause: v1alpha1.CauseUnknown}
}

// listReasons returns the reasons of events.
func listReasons(events []Event) []string {
	var list []string
	for _, e := range events {
		list = append(list, e.Reason)
	}
	return list
}

// podStep is a sample of one pod and the expected Events.
type podStep struct {
	percent int
	failed  uint64 // since the first sample
	want    string // reasons, separated by spaces
}

func TestEventsOfAPod(t *testing.T) {
	const low, critical, restored, fails = v1alpha1.ReasonHeadroomLow, v1alpha1.ReasonHeadroomCritical, v1alpha1.ReasonHeadroomRestored, v1alpha1.ReasonPortsExhausted
	tests := map[string][]podStep{
		"a pod below the warning threshold has no Event":     {{percent: 0}, {percent: 49}, {percent: 10}},
		"each threshold causes one Event when it is crossed": {{percent: 49}, {50, 0, low}, {percent: 60}, {85, 0, critical}, {percent: 99}},
		"from Normal to Critical is one Event":               {{percent: 10}, {99, 0, critical}, {percent: 99}},
		"each lower level causes an Event":                   {{percent: 10}, {99, 0, critical}, {60, 0, low}, {10, 0, restored}},
		"flapping around a threshold causes one Event":       {{50, 0, low}, {percent: 49}, {percent: 50}, {percent: 46}, {percent: 50}},
		"pressure after a recovery causes an Event":          {{50, 0, low}, {44, 0, restored}, {50, 0, low}},
		"failed calls come first":                            {{percent: 10}, {100, 7, fails + " " + critical}, {percent: 100, failed: 70}},
		"failed calls below the warning threshold":           {{percent: 10}, {10, 7, fails}, {percent: 10, failed: 7}},
		"calls that keep failing cause one Event":            {{10, 1, fails}, {percent: 10, failed: 2}, {percent: 10, failed: 3}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			var tracker Tracker
			for i, step := range steps {
				s := newSample(time.Duration(i)*10*time.Second, newNetwork(0, step.percent))
				if step.failed > 0 {
					s.Failures = []socket.Failure{{Inode: 1, Destination: db, Port: 5432, Count: step.failed, LastAt: s.Taken}}
				}
				got := strings.Join(listReasons(tracker.DecideEvents(s, v1alpha1.Thresholds{}, diagnoseUnknown)), " ")
				if got != step.want {
					t.Fatalf("after %+v: %q, want %q", steps[:i+1], got, step.want)
				}
			}
		})
	}
}

func TestFailuresAfterAPauseAreReportedAgain(t *testing.T) {
	var tracker Tracker
	var got []string
	count := uint64(0)
	for minute := range 40 {
		s := newSample(time.Duration(minute)*time.Minute, newNetwork(0, 10))
		if minute < 5 || minute == 14 || minute >= 30 { // at 14, the pause was shorter than 10 minutes
			count += 5
		}
		s.Failures = []socket.Failure{{Inode: 1, Destination: db, Port: 5432, Count: count, LastAt: s.Taken}}
		for _, e := range tracker.DecideEvents(s, v1alpha1.Thresholds{}, diagnoseUnknown) {
			got = append(got, fmt.Sprintf("%d %s", minute, e.Reason))
		}
	}
	if diff := cmp.Diff([]string{"0 PortsExhausted", "30 PortsExhausted"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEarlierFailuresAreNotReported(t *testing.T) {
	var tracker Tracker
	old := []socket.Failure{{Inode: 1, Destination: db, Port: 5432, Count: 9, LastAt: begin}}
	first := newSample(0) // the failed pod was deleted, and another gets its inode
	first.Failures = old
	tracker.DecideEvents(first, v1alpha1.Thresholds{}, diagnoseUnknown)
	then := newSample(time.Minute, newNetwork(0, 10))
	then.Failures = old
	if got := tracker.DecideEvents(then, v1alpha1.Thresholds{}, diagnoseUnknown); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

func TestALeakIsReportedOnceUntilThePodIsNormal(t *testing.T) {
	var tracker Tracker
	leak := func(socket.Pool) cause.Diagnosis { return cause.Diagnosis{Cause: v1alpha1.CauseCloseWaitLeak} }
	var got []string
	for i, step := range []struct {
		percent int
		cause   func(socket.Pool) cause.Diagnosis
	}{{10, leak}, {60, leak}, {60, diagnoseUnknown}, {60, leak}, {90, leak}, {10, leak}, {60, leak}} {
		s := newSample(time.Duration(i)*time.Minute, newNetwork(0, step.percent))
		got = append(got, strings.Join(listReasons(tracker.DecideEvents(s, v1alpha1.Thresholds{}, step.cause)), " "))
	}
	want := []string{"", "HeadroomLow LeakSuspected", "", "", "HeadroomCritical", "HeadroomRestored", "HeadroomLow LeakSuspected"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A pool that fills and empties every minute, for three hours.
func TestAFlappingPodGetsSixEventsAnHourAndItsFinalState(t *testing.T) {
	for name, last := range map[string]struct {
		percent int
		reason  string
	}{"Critical at the end": {99, v1alpha1.ReasonHeadroomCritical}, "Normal at the end": {5, v1alpha1.ReasonHeadroomRestored}} {
		t.Run(name, func(t *testing.T) {
			var tracker Tracker
			var all []Event
			at := time.Duration(0)
			observe := func(percent int) {
				all = append(all, tracker.DecideEvents(newSample(at, newNetwork(0, percent)), v1alpha1.Thresholds{}, diagnoseUnknown)...)
				at += 10 * time.Second
			}
			for i := range 6 * 180 {
				observe(map[bool]int{true: 99, false: 5}[i%6 < 3])
			}
			for range 6 * 60 { // the final state
				observe(last.percent)
			}
			for i := range all {
				hour := 0
				for _, e := range all[i:] {
					if e.At.Sub(all[i].At) < time.Hour {
						hour++
					}
				}
				if hour > 6 {
					t.Fatalf("%d Events in the hour from %v", hour, all[i].At)
				}
			}
			if len(all) < 15 || all[len(all)-1].Reason != last.reason {
				t.Errorf("%d Events, the last %s, want %s", len(all), all[len(all)-1].Reason, last.reason)
			}
		})
	}
}

func TestTenPodsHaveOpenProblemsAtATime(t *testing.T) {
	var tracker Tracker
	var ns []socket.Network
	for i := range 30 {
		ns = append(ns, newNetwork(i, 60+i))
	}
	s := newSample(0, ns...)
	s.Failures = []socket.Failure{{Inode: ns[0].Inode, Destination: db, Port: 5432, Count: 3, LastAt: begin}}
	reported := map[string]bool{}
	for _, e := range tracker.DecideEvents(s, v1alpha1.Thresholds{}, diagnoseUnknown) {
		reported[e.Pod.Name] = true
	}
	want := map[string]bool{"api-0": true} // because its calls fail
	for i := 21; i < 30; i++ {
		want[fmt.Sprintf("api-%d", i)] = true
	}
	if diff := cmp.Diff(want, reported); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// When a pod recovers or is deleted, another pod is reported instead.
	ns[29] = newNetwork(29, 1)
	var got []string
	for _, e := range tracker.DecideEvents(newSample(time.Minute, ns...), v1alpha1.Thresholds{}, diagnoseUnknown) {
		got = append(got, e.Pod.Name+" "+e.Reason)
	}
	for _, e := range tracker.DecideEvents(newSample(2*time.Minute, ns[:28]...), v1alpha1.Thresholds{}, diagnoseUnknown) {
		got = append(got, e.Pod.Name+" "+e.Reason)
	}
	if diff := cmp.Diff([]string{"api-29 HeadroomRestored", "api-20 HeadroomLow", "api-19 HeadroomLow"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// When a pod is deleted, earlier failures of another are not reported instead.
func TestEventsBeyondTheLimitAreNotReportedLater(t *testing.T) {
	var tracker Tracker
	var ns []socket.Network
	for i := range 11 {
		ns = append(ns, newNetwork(i, 60))
	}
	tracker.DecideEvents(newSample(0, ns[:10]...), v1alpha1.Thresholds{}, diagnoseUnknown)
	ns[10] = newNetwork(10, 5)
	s := newSample(time.Minute, ns...)
	s.Failures = []socket.Failure{{Inode: 11, Destination: db, Port: 5432, Count: 1, LastAt: s.Taken}}
	got := tracker.DecideEvents(s, v1alpha1.Thresholds{}, diagnoseUnknown)
	then := newSample(2*time.Minute, ns[5:]...)
	then.Failures = s.Failures
	if got = append(got, tracker.DecideEvents(then, v1alpha1.Thresholds{}, diagnoseUnknown)...); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

// Successive short-lived pods run out of ports.
func TestANodeHasItsOwnHourlyLimit(t *testing.T) {
	var tracker Tracker
	count := 0
	for i := range 360 {
		count += len(tracker.DecideEvents(newSample(time.Duration(i)*10*time.Second, newNetwork(i, 99)), v1alpha1.Thresholds{}, diagnoseUnknown))
	}
	if count != nodeHourlyLimit {
		t.Errorf("%d Events in an hour, want %d", count, nodeHourlyLimit)
	}
	if n := len(tracker.pods); n > 361 {
		t.Errorf("%d pods are tracked", n)
	}
	tracker.DecideEvents(newSample(3*time.Hour), v1alpha1.Thresholds{}, diagnoseUnknown)
	if len(tracker.pods) > 0 {
		t.Errorf("%d deleted pods are tracked", len(tracker.pods))
	}
}

func TestOnlyNamedPodsGetEvents(t *testing.T) {
	change := func(f func(*socket.Network)) socket.Network {
		n := newNetwork(0, 99)
		f(&n)
		return n
	}
	for name, c := range map[string]struct {
		n    socket.Network
		want int
	}{
		"a pod":                     {newNetwork(0, 99), 1},
		"the host":                  {change(func(n *socket.Network) { n.Owner.Kind = socket.OwnerHost }), 0},
		"a container without a pod": {change(func(n *socket.Network) { n.Owner.Kind = socket.OwnerContainer }), 0},
		"a pod without a name":      {change(func(n *socket.Network) { n.Owner.Pod = "" }), 0},
		"a pod without a namespace": {change(func(n *socket.Network) { n.Owner.Namespace = "" }), 0},
		"a sandbox":                 {change(func(n *socket.Network) { n.Owner.Sandbox = "gVisor" }), 0},
		"an advisory pool":          {change(func(n *socket.Network) { n.Destinations = nil }), 0},
	} {
		t.Run(name, func(t *testing.T) {
			var tracker Tracker
			if got := tracker.DecideEvents(newSample(0, c.n), v1alpha1.Thresholds{}, diagnoseUnknown); len(got) != c.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAPodWithTwoNetworksGetsOneEvent(t *testing.T) {
	var tracker Tracker
	other := newNetwork(0, 90)
	other.Inode = 77
	got := tracker.DecideEvents(newSample(0, newNetwork(0, 60), other), v1alpha1.Thresholds{}, diagnoseUnknown)
	if len(got) != 1 || got[0].Reason != v1alpha1.ReasonHeadroomCritical {
		t.Errorf("%+v", got)
	}
}

func TestThresholdsOfTheNodeAreUsed(t *testing.T) {
	var tracker Tracker
	got := tracker.DecideEvents(newSample(0, newNetwork(0, 60)), v1alpha1.Thresholds{WarningPercent: 70, CriticalPercent: 90}, diagnoseUnknown)
	if len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

func TestARepeatedEventBelongsToTheSameSeries(t *testing.T) {
	var tracker Tracker
	var got []Event
	observe := func(at time.Duration, percent int) {
		for _, e := range tracker.DecideEvents(newSample(at, newNetwork(0, percent)), v1alpha1.Thresholds{}, diagnoseUnknown) {
			if e.Warning {
				got = append(got, e)
			}
		}
	}
	observe(0, 60)
	for _, at := range []time.Duration{10 * time.Minute, 39 * time.Minute, 70 * time.Minute} {
		observe(at-time.Minute, 5)
		observe(at, 60)
	}
	var counts []int
	for _, e := range got {
		counts = append(counts, e.Count)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 1}, counts); diff != "" {
		t.Errorf("counts -want +got:\n%s", diff)
	}
	if got[0].Name != got[2].Name || got[0].Name == got[3].Name {
		t.Errorf("names %q, %q, %q", got[0].Name, got[2].Name, got[3].Name)
	}
	if !got[0].PresentAtStart || got[1].PresentAtStart {
		t.Errorf("PresentAtStart is %t, then %t, want true, then false", got[0].PresentAtStart, got[1].PresentAtStart)
	}
}

// A restarted agent repeats an Event under the same name.
func TestARestartedAgentUsesTheSameEventNames(t *testing.T) {
	var names []string
	for minute := range 60 {
		var tracker Tracker // of the restarted agent
		for _, e := range tracker.DecideEvents(newSample(time.Duration(minute)*time.Minute, newNetwork(0, 99)), v1alpha1.Thresholds{}, diagnoseUnknown) {
			if !e.PresentAtStart {
				t.Errorf("%+v is not marked as PresentAtStart", e)
			}
			if len(names) == 0 || names[len(names)-1] != e.Name {
				names = append(names, e.Name)
			}
		}
	}
	if len(names) != 2 {
		t.Errorf("%d Events in an hour: %v", len(names), names)
	}
}

func TestEventNamesAreValidAndUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, pod := range []string{"a", strings.Repeat("a", 253), strings.Repeat("a", 235) + "." + strings.Repeat("b", 17), strings.Repeat("a-", 126) + "b"} {
		for _, reason := range []string{v1alpha1.ReasonHeadroomLow, v1alpha1.ReasonHeadroomCritical} {
			for _, u := range []string{"1", "2"} {
				name := buildEventName(Pod{"shop", pod, u}, reason, begin)
				if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 {
					t.Errorf("%s: %v", name, wrong)
				}
				if seen[name] {
					t.Errorf("the name %s is used twice", name)
				}
				seen[name] = true
			}
		}
	}
}

func TestNotes(t *testing.T) {
	churn := cause.Diagnosis{Cause: v1alpha1.CauseTimeWaitChurn, Finding: "They are in TIME_WAIT.", Remedy: "Keep connections open."}
	pool := func(change func(*socket.Pool)) observation {
		n := newNetwork(0, 92)
		p := socket.Pool{Network: &n, Destination: &n.Destinations[0], Used: 92, Capacity: 100}
		change(&p)
		return observation{tightest: p}
	}
	unchanged := func(*socket.Pool) {}
	ipv6 := &socket.Destination{Address: netip.MustParseAddr("2001:db8::9"), Port: 443}
	failing := pool(unchanged)
	failing.failed = failedCalls{count: 12, destination: netip.AddrPortFrom(db, 5432)}
	failingUnknown := pool(unchanged)
	failingUnknown.failed = failedCalls{count: 1}
	for name, c := range map[string]struct{ got, want string }{
		"to a destination": {formatHeadroomNote(pool(unchanged), v1alpha1.LevelCritical, v1alpha1.LevelNormal, churn),
			"92 of 100 ports to 10.0.0.9:5432 are in use (92 %). TimeWaitChurn: They are in TIME_WAIT. Keep connections open."},
		"IPv6": {formatHeadroomNote(pool(func(p *socket.Pool) { p.Destination = ipv6 }), v1alpha1.LevelWarning, v1alpha1.LevelNormal, cause.Diagnosis{}),
			"92 of 100 ports to [2001:db8::9]:443 are in use (92 %)."},
		"bind(0)": {formatHeadroomNote(pool(func(p *socket.Pool) { p.Destination, p.Kind = nil, socket.Bind }), v1alpha1.LevelWarning, v1alpha1.LevelNormal, cause.Diagnosis{}),
			"92 of 100 ports for bind(0) are in use (92 %)."},
		"UDP": {formatHeadroomNote(pool(func(p *socket.Pool) { p.Destination, p.Kind, p.Protocol = nil, socket.Bind, socket.UDP }), v1alpha1.LevelWarning, v1alpha1.LevelNormal, cause.Diagnosis{}),
			"92 of 100 UDP ports are in use (92 %)."},
		"any destination": {formatHeadroomNote(pool(func(p *socket.Pool) { p.Destination = nil }), v1alpha1.LevelWarning, v1alpha1.LevelNormal, cause.Diagnosis{}),
			"92 of 100 ports to any destination are in use (92 %)."},
		"an uncertain number of ports": {formatHeadroomNote(pool(func(p *socket.Pool) { p.Used, p.UsedMax = 20, 92 }), v1alpha1.LevelCritical, v1alpha1.LevelNormal, cause.Diagnosis{}),
			"20 to 92 of 100 ports to 10.0.0.9:5432 are in use (92 %)."},
		"back to normal": {formatHeadroomNote(pool(func(p *socket.Pool) { p.Used = 5 }), v1alpha1.LevelNormal, v1alpha1.LevelCritical, churn),
			"Port usage is back to normal. 5 of 100 ports to 10.0.0.9:5432 are in use (5 %)."},
		"below the critical threshold, but not Normal": {formatHeadroomNote(pool(func(p *socket.Pool) { p.Used = 70 }), v1alpha1.LevelWarning, v1alpha1.LevelCritical, churn),
			"Below the critical threshold again. 70 of 100 ports to 10.0.0.9:5432 are in use (70 %). TimeWaitChurn: They are in TIME_WAIT. Keep connections open."},
		"calls fail": {formatFailureNote(failing, v1alpha1.LevelCritical, churn),
			"connect() to 10.0.0.9:5432 failed 12 times: no port was free (EADDRNOTAVAIL). 92 of 100 ports to 10.0.0.9:5432 are in use (92 %). TimeWaitChurn: They are in TIME_WAIT. Keep connections open."},
		"calls failed, but the level is Normal": {formatFailureNote(failingUnknown, v1alpha1.LevelNormal, cause.Diagnosis{}),
			"connect() failed once: no port was free (EADDRNOTAVAIL)."},
		"a leak": {formatLeakNote(cause.Diagnosis{Cause: v1alpha1.CauseCloseWaitLeak, Finding: "They are in CLOSE_WAIT.", Remedy: "Close them."}),
			"Sockets that a program should have closed are filling a pool. CloseWaitLeak: They are in CLOSE_WAIT. Close them."},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestANoteFitsTheAPI(t *testing.T) {
	for _, letter := range []string{"a", "é", "…", "😀"} {
		for extra := range 8 {
			note := truncateNote(strings.Repeat("x", extra) + strings.Repeat(letter, maxNote+1))
			if len(note) > maxNote || len(note) < maxNote-8 || !utf8.ValidString(note) || !strings.HasSuffix(note, "…") {
				t.Errorf("%d bytes: %q", len(note), note[len(note)-8:])
			}
		}
	}
}

func TestNewFailuresAreCountedByPod(t *testing.T) {
	var history socket.FailureHistory
	countNew := func(now ...socket.Failure) map[socket.NetworkID]failedCalls {
		return groupByNetwork(history.CountNew(now))
	}
	at := func(cookie uint64, port uint16, count uint64, when time.Duration) socket.Failure {
		return socket.Failure{Inode: 1, Cookie: cookie, Destination: db, Port: port, Count: count, LastAt: begin.Add(when)}
	}
	countNew(at(1, 80, 5, 0), at(1, 81, 1, 0))
	got := countNew(at(1, 80, 7, time.Minute), at(1, 81, 10, time.Minute), at(2, 80, 4, time.Minute))
	want := map[socket.NetworkID]failedCalls{
		{Inode: 1, Cookie: 1}: {count: 11, mostFrequent: 9, destination: netip.AddrPortFrom(db, 81)},
		{Inode: 1, Cookie: 2}: {count: 4, mostFrequent: 4, destination: netip.AddrPortFrom(db, 80)},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(failedCalls{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := countNew(at(1, 80, 3, time.Hour))[socket.NetworkID{Inode: 1, Cookie: 1}].count; got != 3 {
		t.Errorf("after a restart of the reader: %d, want 3", got)
	}
}

func TestAFailureFromTheEventLogHasItsReason(t *testing.T) {
	s := observation{failed: failedCalls{count: 3, reason: "UdpPortsExhausted"}}
	const want = "The Windows event log reported UdpPortsExhausted 3 times: no port was free, or none for the peer."
	if got := formatFailureNote(s, v1alpha1.LevelNormal, cause.Diagnosis{}); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
