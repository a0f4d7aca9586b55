package assess

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// said is the status and the reason of a condition.
func said(s *v1alpha1.PortPressureStatus, kind string) string {
	c := meta.FindStatusCondition(s.Conditions, kind)
	if c == nil {
		return ""
	}
	return string(c.Status) + " " + c.Reason
}

// tracked is what one sample shows of connection tracking; figures below 0 could
// not be read.
type tracked struct {
	percent, drop int64
	want          string
}

func TestConntrackAvailable(t *testing.T) {
	const room, tight, refused, unseen = "True Available", "False TableNearlyFull", "False InsertFailed", "Unknown NotMeasured"
	tests := map[string][]tracked{
		"A table with room":   {{10, 0, room}, {89, 0, room}},
		"Nothing can be read": {{-1, -1, unseen}, {-1, -1, unseen}},
		"A full table is tight until it has room to spare":   {{90, 0, tight}, {86, 0, tight}, {85, 0, tight}, {84, 0, room}, {86, 0, room}},
		"Refusals before the agent came say nothing":         {{10, 100000, room}, {10, 100000, room}},
		"A packet lost now and then is none":                 {{10, 0, room}, {10, 2, room}, {10, 4, room}, {10, 6, room}, {10, 7, room}},
		"A burst is told at once":                            {{10, 50, room}, {10, 60, refused}},
		"Counters alone do":                                  {{-1, 50, room}, {-1, 60, refused}},
		"A size alone does":                                  {{50, -1, room}, {95, -1, tight}},
		"Refusals are worse than a table that is full":       {{95, 0, tight}, {99, 500, refused}},
		"Refusals are remembered, and over after some time":  {{10, 0, room}, {10, 10, refused}, {10, 10, refused}, {10, 10, refused}, {10, 10, refused}, {10, 10, refused}, {10, 10, refused}, {10, 10, refused}, {10, 10, refused}, {10, 10, refused}, {10, 10, refused}, {10, 10, refused}, {10, 10, refused}, {10, 10, room}},
		"A counter that begins again has counted no refusal": {{10, 1 << 62, room}, {10, 3, room}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			var c Course
			for minute, step := range steps {
				s := seen(minute, 10, "pool")
				var f Facts
				if step.percent >= 0 {
					f.Conntrack = &Conntrack{Entries: step.percent, Max: 100}
				}
				sample := socket.Sample{Taken: s.ObservedAt.Time, Networks: []socket.Network{{
					Owner:    socket.Owner{Kind: socket.OwnerPod},
					Counters: &socket.Counters{Conntrack: &socket.ConntrackCounters{Drop: 5}},
				}}}
				switch {
				case step.drop < 0:
					sample.Networks = nil
				case f.Conntrack == nil: // as seen from outside
					sample.Networks = append(sample.Networks, socket.Network{Owner: socket.Owner{Kind: socket.OwnerHost},
						Counters: &socket.Counters{Conntrack: &socket.ConntrackCounters{Drop: uint64(step.drop)}}})
				default:
					f.Conntrack.Drop = &step.drop
				}
				s.Conntrack = conntrack(f.Conntrack)
				c.Count(&sample, f)
				c.Follow(s)
				if got := said(s, v1alpha1.ConditionConntrackAvailable); got != step.want {
					t.Fatalf("minute %d: %s, want %s", minute, got, step.want)
				}
			}
		})
	}
}

// The last refusal of a machine that was asleep is no news.
func TestRefusalsFadeByTheClockAndNotBySamples(t *testing.T) {
	var k conntrackCourse
	now := start
	k.count(0, now)
	for range 1000 { // 20 a minute, in small steps
		now = now.Add(3 * time.Second)
		k.count(k.total+1, now)
	}
	if k.recent < 90 || k.recent > 110 {
		t.Errorf("20 a minute for long are %.1f, want about 20 times 5", k.recent)
	}
	k.count(k.total, now.Add(time.Hour))
	if k.recent > 0.01 {
		t.Errorf("an hour later there are %.1f", k.recent)
	}
}

func TestALeakIsSuspected(t *testing.T) {
	const no, closeWait, halfOpen, unseen = "False NoLeak", "True CloseWaitLeak", "True HalfOpen", "Unknown NotMeasured"
	type step struct {
		minute  int
		cause   v1alpha1.Cause // of the tightest pool
		network v1alpha1.Cause // of another network past the line
		want    string
	}
	tests := map[string][]step{
		"no cause":                              {{0, "", "", no}},
		"a cause that is no leak":               {{0, v1alpha1.CauseTimeWaitChurn, "", no}},
		"a leak":                                {{0, v1alpha1.CauseCloseWaitLeak, "", closeWait}},
		"a leak elsewhere":                      {{0, v1alpha1.CauseTimeWaitChurn, v1alpha1.CauseHalfOpen, halfOpen}},
		"a leak that comes and goes does not":   {{0, v1alpha1.CauseCloseWaitLeak, "", closeWait}, {1, "", "", closeWait}, {4, v1alpha1.CauseCloseWaitLeak, "", closeWait}, {8, "", "", closeWait}},
		"a leak that was mended is over":        {{0, v1alpha1.CauseCloseWaitLeak, "", closeWait}, {4, "", "", closeWait}, {5, "", "", no}, {6, "", "", no}},
		"nothing measured":                      {{0, "unread", "", unseen}},
		"nothing measured any more, for a time": {{0, v1alpha1.CauseCloseWaitLeak, "", closeWait}, {1, "unread", "", closeWait}, {9, "unread", "", unseen}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			var c Course
			for _, step := range steps {
				s := seen(step.minute, 90, "shop/api → 10.0.0.9:443")
				s.Cause = step.cause
				if step.cause == "unread" {
					s = &v1alpha1.PortPressureStatus{ObservedAt: at(step.minute)}
				}
				if step.network != "" {
					s.Networks = []v1alpha1.Network{{Network: "shop/web", Cause: step.network}}
				}
				c.Follow(s)
				if got := said(s, v1alpha1.ConditionLeakSuspected); got != step.want {
					t.Fatalf("minute %d: %s, want %s", step.minute, got, step.want)
				}
			}
		})
	}
}

func TestASuspicionOutlivesTheAgent(t *testing.T) {
	var before Course
	was := seen(0, 90, "shop/api → 10.0.0.9:443")
	was.Cause = v1alpha1.CauseCloseWaitLeak
	before.Follow(was)
	for minute, want := range map[int]metav1.ConditionStatus{1: metav1.ConditionTrue, 6: metav1.ConditionFalse} {
		var c Course
		c.Resume(was)
		s := seen(minute, 90, "shop/api → 10.0.0.9:443")
		c.Follow(s)
		got := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionLeakSuspected)
		if got.Status != want {
			t.Errorf("after %d minutes: %s, want %s", minute, got.Status, want)
		}
		if want != metav1.ConditionTrue {
			continue
		}
		wanted := meta.FindStatusCondition(was.Conditions, v1alpha1.ConditionLeakSuspected)
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func TestPortsThatMayBeUsedAreSaid(t *testing.T) {
	status := &v1alpha1.PortPressureStatus{Level: v1alpha1.LevelCritical, Tightest: &v1alpha1.Pool{
		Used: 30, UsedMax: new(int32(260)), Capacity: 300, Summary: "Host → any",
	}}
	const want = "30 to 260 of 300 ports are used: Host → any"
	if c := portsAvailable(status); c.Message != want || c.Status != metav1.ConditionFalse {
		t.Errorf("got %s %q, want %q", c.Status, c.Message, want)
	}
}
