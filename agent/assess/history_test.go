package assess

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

var start = time.Date(2026, 11, 21, 3, 12, 0, 0, time.UTC)

// statusAt returns a status of the given minute after the start.
func statusAt(minute int, percent int32, summary string) *v1alpha1.PortPressureStatus {
	return &v1alpha1.PortPressureStatus{
		ObservedAt:  minuteTime(minute),
		Level:       v1alpha1.Thresholds{}.Level(percent),
		UsedPercent: &percent,
		Tightest:    &v1alpha1.Pool{Summary: summary, Used: percent, Capacity: 100},
	}
}

func minuteTime(minute int) *metav1.Time {
	return &metav1.Time{Time: start.Add(time.Duration(minute) * time.Minute)}
}

func TestTheLastPressureIsRemembered(t *testing.T) {
	var c StatusHistory
	follow := func(minute int, percent int32, summary string) *v1alpha1.PortPressureStatus {
		s := statusAt(minute, percent, summary)
		c.completeStatus(s)
		return s
	}
	if got := follow(0, 10, "a"); got.LastPressure != nil || got.Level != v1alpha1.LevelNormal {
		t.Errorf("at the start: %v, %+v", got.Level, got.LastPressure)
	}
	follow(1, 60, "b")
	follow(2, 97, "c")
	got := follow(3, 70, "d").LastPressure
	want := &v1alpha1.Pressure{Level: v1alpha1.LevelCritical, PeakPercent: 97, Summary: "c", From: *minuteTime(1)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("while it lasts (-want +got):\n%s", diff)
	}
	follow(4, 5, "e")
	want.To = minuteTime(4)
	if diff := cmp.Diff(want, follow(5, 5, "f").LastPressure); diff != "" {
		t.Errorf("afterwards (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&v1alpha1.Pressure{Level: v1alpha1.LevelWarning, PeakPercent: 55, Summary: "g", From: *minuteTime(6)},
		follow(6, 55, "g").LastPressure); diff != "" {
		t.Errorf("the next one (-want +got):\n%s", diff)
	}
}

func TestAPressureOutlivesTheAgent(t *testing.T) {
	lasting := &v1alpha1.PortPressureStatus{LastPressure: &v1alpha1.Pressure{
		Level: v1alpha1.LevelCritical, PeakPercent: 97, Summary: "before", From: *minuteTime(-9)}}
	over := lasting.DeepCopy()
	over.LastPressure.To = minuteTime(-5)
	for name, c := range map[string]struct {
		before *v1alpha1.PortPressureStatus
		now    int32 // measured by this agent before it could read the object
		then   int32
		want   v1alpha1.Pressure
	}{
		"it continues": {lasting, 60, 60, v1alpha1.Pressure{
			Level: v1alpha1.LevelCritical, PeakPercent: 97, Summary: "before", From: *minuteTime(-9)}},
		"it gets worse": {lasting, 60, 99, v1alpha1.Pressure{
			Level: v1alpha1.LevelCritical, PeakPercent: 99, Summary: "then", From: *minuteTime(-9)}},
		"it was over when the agent came back": {lasting, 10, 10, v1alpha1.Pressure{
			Level: v1alpha1.LevelCritical, PeakPercent: 97, Summary: "before", From: *minuteTime(-9), To: minuteTime(1)}},
		"a new one replaces one that is over": {over, 60, 60, v1alpha1.Pressure{
			Level: v1alpha1.LevelWarning, PeakPercent: 60, Summary: "now", From: *minuteTime(0)}},
		"one that is over remains": {over, 10, 10, v1alpha1.Pressure{
			Level: v1alpha1.LevelCritical, PeakPercent: 97, Summary: "before", From: *minuteTime(-9), To: minuteTime(-5)}},
	} {
		t.Run(name, func(t *testing.T) {
			var history StatusHistory
			history.completeStatus(statusAt(0, c.now, "now"))
			history.ResumeFrom(c.before)
			s := statusAt(1, c.then, "then")
			history.completeStatus(s)
			if diff := cmp.Diff(&c.want, s.LastPressure); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestPortsAvailableChangesItsTimeOnlyWithItsStatus(t *testing.T) {
	var c StatusHistory
	var times []metav1.Time
	for i, percent := range []int32{10, 60, 90, 95, 10} {
		s := statusAt(i, percent, "pool")
		c.completeStatus(s)
		got := s.Conditions[0]
		want := map[int32]struct {
			metav1.ConditionStatus
			reason string
		}{
			10: {metav1.ConditionTrue, "Normal"}, 60: {metav1.ConditionTrue, "Warning"},
			90: {metav1.ConditionFalse, "Critical"}, 95: {metav1.ConditionFalse, "Critical"},
		}[percent]
		if got.Status != want.ConditionStatus || got.Reason != want.reason {
			t.Errorf("at %d %%: %s, %s", percent, got.Status, got.Reason)
		}
		times = append(times, got.LastTransitionTime)
	}
	if !times[0].Equal(&times[1]) || !times[2].Equal(&times[3]) {
		t.Errorf("transition times %v", times)
	}
	var unread StatusHistory
	s := &v1alpha1.PortPressureStatus{ObservedAt: minuteTime(0)}
	unread.completeStatus(s)
	if got := s.Conditions[0]; got.Status != metav1.ConditionUnknown || got.Reason != v1alpha1.ReasonNotMeasured {
		t.Errorf("without a measurement: %+v", got)
	}
}
