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

// formatCondition returns the status and the reason of a condition.
func formatCondition(s *v1alpha1.PortPressureStatus, kind string) string {
	c := meta.FindStatusCondition(s.Conditions, kind)
	if c == nil {
		return ""
	}
	return string(c.Status) + " " + c.Reason
}

// conntrackStep is one sample of connection tracking. Negative values could not be read.
type conntrackStep struct {
	percent, drop int64
	want          string
}

func TestConntrackAvailable(t *testing.T) {
	const available, full, dropping, unknown = "True Available", "False TableNearlyFull", "False InsertFailed", "Unknown NotMeasured"
	tests := map[string][]conntrackStep{
		"A table with free entries":                  {{10, 0, available}, {89, 0, available}},
		"Nothing can be read":                        {{-1, -1, unknown}, {-1, -1, unknown}},
		"A nearly full table has hysteresis":         {{90, 0, full}, {86, 0, full}, {85, 0, full}, {84, 0, available}, {86, 0, available}},
		"Drops before the agent's start are ignored": {{10, 100000, available}, {10, 100000, available}},
		"An occasional drop is normal":               {{10, 0, available}, {10, 2, available}, {10, 4, available}, {10, 6, available}, {10, 7, available}},
		"A burst is reported at once":                {{10, 50, available}, {10, 60, dropping}},
		"Counters without a size":                    {{-1, 50, available}, {-1, 60, dropping}},
		"A size without counters":                    {{50, -1, available}, {95, -1, full}},
		"Drops are worse than a full table":          {{95, 0, full}, {99, 500, dropping}},
		"Drops are reported for some time":           {{10, 0, available}, {10, 10, dropping}, {10, 10, dropping}, {10, 10, dropping}, {10, 10, dropping}, {10, 10, dropping}, {10, 10, dropping}, {10, 10, dropping}, {10, 10, dropping}, {10, 10, dropping}, {10, 10, dropping}, {10, 10, dropping}, {10, 10, dropping}, {10, 10, available}},
		"A counter that was reset has no drops":      {{10, 1 << 62, available}, {10, 3, available}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			var c StatusHistory
			for minute, step := range steps {
				s := statusAt(minute, 10, "pool")
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
				case f.Conntrack == nil: // only the namespace's counters
					sample.Networks = append(sample.Networks, socket.Network{Owner: socket.Owner{Kind: socket.OwnerHost},
						Counters: &socket.Counters{Conntrack: &socket.ConntrackCounters{Drop: uint64(step.drop)}}})
				default:
					f.Conntrack.Drop = &step.drop
				}
				s.Conntrack = newConntrack(f.Conntrack)
				c.countConntrack(&sample, f)
				c.completeStatus(s)
				if got := formatCondition(s, v1alpha1.ConditionConntrackAvailable); got != step.want {
					t.Fatalf("minute %d: %s, want %s", minute, got, step.want)
				}
			}
		})
	}
}

// After a machine was suspended its last drop is no longer recent.
func TestDropsDecayByTimeAndNotBySamples(t *testing.T) {
	var k conntrackHistory
	now := start
	k.addDrops(0, now)
	for range 1000 { // 20 a minute, in small steps
		now = now.Add(3 * time.Second)
		k.addDrops(k.total+1, now)
	}
	if k.recentDrops < 90 || k.recentDrops > 110 {
		t.Errorf("after 20 drops a minute for long: %.1f recent drops, want about 20 times 5", k.recentDrops)
	}
	k.addDrops(k.total, now.Add(time.Hour))
	if k.recentDrops > 0.01 {
		t.Errorf("an hour later: %.1f recent drops", k.recentDrops)
	}
}

func TestALeakIsSuspected(t *testing.T) {
	const no, closeWait, halfOpen, unknown = "False NoLeak", "True CloseWaitLeak", "True HalfOpen", "Unknown NotMeasured"
	type step struct {
		minute  int
		cause   v1alpha1.Cause // of the tightest pool
		network v1alpha1.Cause // of another network above the threshold
		want    string
	}
	tests := map[string][]step{
		"no cause":                              {{0, "", "", no}},
		"a cause that is not a leak":            {{0, v1alpha1.CauseTimeWaitChurn, "", no}},
		"a leak":                                {{0, v1alpha1.CauseCloseWaitLeak, "", closeWait}},
		"a leak elsewhere":                      {{0, v1alpha1.CauseTimeWaitChurn, v1alpha1.CauseHalfOpen, halfOpen}},
		"an intermittent leak":                  {{0, v1alpha1.CauseCloseWaitLeak, "", closeWait}, {1, "", "", closeWait}, {4, v1alpha1.CauseCloseWaitLeak, "", closeWait}, {8, "", "", closeWait}},
		"a leak that was fixed is over":         {{0, v1alpha1.CauseCloseWaitLeak, "", closeWait}, {4, "", "", closeWait}, {5, "", "", no}, {6, "", "", no}},
		"nothing measured":                      {{0, "unread", "", unknown}},
		"nothing measured any more, for a time": {{0, v1alpha1.CauseCloseWaitLeak, "", closeWait}, {1, "unread", "", closeWait}, {9, "unread", "", unknown}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			var c StatusHistory
			for _, step := range steps {
				s := statusAt(step.minute, 90, "shop/api → 10.0.0.9:443")
				s.Cause = step.cause
				if step.cause == "unread" {
					s = &v1alpha1.PortPressureStatus{ObservedAt: minuteTime(step.minute)}
				}
				if step.network != "" {
					s.Networks = []v1alpha1.Network{{Network: "shop/web", Cause: step.network}}
				}
				c.completeStatus(s)
				if got := formatCondition(s, v1alpha1.ConditionLeakSuspected); got != step.want {
					t.Fatalf("minute %d: %s, want %s", step.minute, got, step.want)
				}
			}
		})
	}
}

func TestASuspectedLeakOutlivesTheAgent(t *testing.T) {
	var before StatusHistory
	was := statusAt(0, 90, "shop/api → 10.0.0.9:443")
	was.Cause = v1alpha1.CauseCloseWaitLeak
	before.completeStatus(was)
	for minute, want := range map[int]metav1.ConditionStatus{1: metav1.ConditionTrue, 6: metav1.ConditionFalse} {
		var c StatusHistory
		c.ResumeFrom(was)
		s := statusAt(minute, 90, "shop/api → 10.0.0.9:443")
		c.completeStatus(s)
		got := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionLeakSuspected)
		if got.Status != want {
			t.Errorf("after %d minutes: %s, want %s", minute, got.Status, want)
		}
		if want != metav1.ConditionTrue {
			continue
		}
		previous := meta.FindStatusCondition(was.Conditions, v1alpha1.ConditionLeakSuspected)
		if diff := cmp.Diff(previous, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func TestTheMessageHasTheMaximumOfUsedPorts(t *testing.T) {
	status := &v1alpha1.PortPressureStatus{Level: v1alpha1.LevelCritical, Tightest: &v1alpha1.Pool{
		Used: 30, UsedMax: new(int32(260)), Capacity: 300, Summary: "Host → any",
	}}
	const want = "30 to 260 of 300 ports are in use: Host → any"
	if c := evaluatePortsAvailable(status); c.Message != want || c.Status != metav1.ConditionFalse {
		t.Errorf("got %s %q, want %q", c.Status, c.Message, want)
	}
}
