package report

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

func newStatus(level v1alpha1.Level, percent int32, summary string) *v1alpha1.PortPressureStatus {
	return &v1alpha1.PortPressureStatus{Level: level, UsedPercent: &percent,
		Tightest: &v1alpha1.Pool{Summary: summary}}
}

func TestTheNextWriteOfAStatus(t *testing.T) {
	wrote := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	normal, warning := newStatus(v1alpha1.LevelNormal, 20, "a"), newStatus(v1alpha1.LevelWarning, 60, "a")
	for name, c := range map[string]struct {
		w    lastWrite
		now  *v1alpha1.PortPressureStatus
		want time.Duration // after the last write; 0: at once
	}{
		"the first status, at once":                                         {lastWrite{}, normal, 0},
		"a new level, at once":                                              {lastWrite{normal, wrote, 0, 0}, warning, 0},
		"a small change, at the heartbeat":                                  {lastWrite{normal, wrote, 0.5, 0}, newStatus(v1alpha1.LevelNormal, 24, "a"), 30 * time.Minute},
		"the heartbeat comes up to a tenth earlier":                         {lastWrite{normal, wrote, 0, 0}, normal, 27 * time.Minute},
		"the heartbeat comes up to a tenth later":                           {lastWrite{normal, wrote, 1, 0}, normal, 33 * time.Minute},
		"five points at Normal, after 20 minutes":                           {lastWrite{normal, wrote, 0.5, 0}, newStatus(v1alpha1.LevelNormal, 25, "a"), 20 * time.Minute},
		"five points above the warning threshold, after a minute":           {lastWrite{warning, wrote, 0.5, 0}, newStatus(v1alpha1.LevelWarning, 55, "a"), time.Minute},
		"another tightest pool at Normal, at the heartbeat":                 {lastWrite{normal, wrote, 0.5, 0}, newStatus(v1alpha1.LevelNormal, 20, "b"), 30 * time.Minute},
		"another tightest pool above the warning threshold, after a minute": {lastWrite{warning, wrote, 0.5, 0}, newStatus(v1alpha1.LevelWarning, 60, "b"), time.Minute},
		"a higher level at once, even after flapping":                       {lastWrite{normal, wrote, 0, maxQuickWrites}, warning, 0},
		"a lower level after flapping, after a minute":                      {lastWrite{warning, wrote, 0, maxQuickWrites}, normal, time.Minute},
		"a forecast of exhaustion within 10 minutes, at once":               {lastWrite{normal, wrote, 0, 0}, withExhaustionIn(600, normal), 0},
		"a forecast that falls to 10 minutes, at once":                      {lastWrite{withExhaustionIn(900, normal), wrote, 0, 0}, withExhaustionIn(600, normal), 0},
		"a forecast of a later exhaustion, at the heartbeat":                {lastWrite{normal, wrote, 0.5, 0}, withExhaustionIn(601, normal), 30 * time.Minute},
		"a shorter forecast within 10 minutes, at the heartbeat":            {lastWrite{withExhaustionIn(600, normal), wrote, 0.5, 0}, withExhaustionIn(60, normal), 30 * time.Minute},
		"a forecast of twice the time, at the heartbeat":                    {lastWrite{withExhaustionIn(600, normal), wrote, 0.5, 0}, withExhaustionIn(1200, normal), 30 * time.Minute},
		"the end of a forecast at Normal, after a minute":                   {lastWrite{withExhaustionIn(600, normal), wrote, 0.5, 0}, normal, time.Minute},
		"a flapping forecast, after a minute":                               {lastWrite{normal, wrote, 0, maxQuickWrites}, withExhaustionIn(60, normal), time.Minute},
		"failed calls, at once":                                             {lastWrite{normal, wrote, 0, 0}, withFailureAt(0, normal), 0},
		"more failed calls, at the heartbeat":                               {lastWrite{withFailureAt(0, normal), wrote, 0.5, 0}, withFailureAt(9*time.Minute, normal), 30 * time.Minute},
		"more failed calls ten minutes later, at once":                      {lastWrite{withFailureAt(0, normal), wrote, 0.5, 0}, withFailureAt(10*time.Minute, normal), 0},
		"failures that are no longer listed, at the heartbeat":              {lastWrite{withFailureAt(time.Hour, normal), wrote, 0.5, 0}, withFailureAt(0, normal), 30 * time.Minute},
		"a level that is no longer known, at once":                          {lastWrite{warning, wrote, 0.5, 0}, &v1alpha1.PortPressureStatus{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := DefaultPolicy.nextWrite(c.w, c.now)
			if c.want == 0 && !got.IsZero() || c.want != 0 && got.Sub(wrote) != c.want {
				t.Errorf("due %v after the last write, want %v", got.Sub(wrote), c.want)
			}
		})
	}
}

// withFailureAt returns s with calls that failed at that time after noon.
func withFailureAt(after time.Duration, s *v1alpha1.PortPressureStatus) *v1alpha1.PortPressureStatus {
	s = s.DeepCopy()
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	s.Failures = []v1alpha1.Failure{{LastAt: metav1.NewTime(noon.Add(-time.Hour))}, {LastAt: metav1.NewTime(noon.Add(after))}}
	return s
}

func withExhaustionIn(seconds int64, s *v1alpha1.PortPressureStatus) *v1alpha1.PortPressureStatus {
	s = s.DeepCopy()
	s.ExhaustionSeconds = &seconds
	return s
}

// A healthy node whose percentage changes all the time makes four writes an hour.
func TestAHealthyNodeWritesFourTimesAnHour(t *testing.T) {
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	w, writes := lastWrite{jitter: 0.5}, 0
	for tick := range 24 * 360 { // a day of 10 s
		now := start.Add(time.Duration(tick) * 10 * time.Second)
		s := newStatus(v1alpha1.LevelNormal, int32(tick*7%50), "pool")
		if !now.Before(DefaultPolicy.nextWrite(w, s)) {
			w = w.recordWrite(s, now, 0.5, DefaultPolicy.MinInterval)
			writes++
		}
	}
	if writes > 24*4 {
		t.Errorf("%d writes in a day, want 96 at the most", writes)
	}
}

// A flapping forecast is written as often as a flapping level.
func TestAFlappingForecastIsWrittenTwiceAMinute(t *testing.T) {
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	w, writes := lastWrite{}, 0
	normal := newStatus(v1alpha1.LevelNormal, 45, "pool")
	for tick := range 360 { // an hour of 10 s
		now := start.Add(time.Duration(tick) * 10 * time.Second)
		s := []*v1alpha1.PortPressureStatus{normal, withExhaustionIn(300, normal)}[tick%2]
		if !now.Before(DefaultPolicy.nextWrite(w, s)) {
			w = w.recordWrite(s, now, 0.5, DefaultPolicy.MinInterval)
			writes++
		}
	}
	if writes < 50 || writes > 120 {
		t.Errorf("%d writes in an hour, want the first six at once and then at most two a minute", writes)
	}
}

// If a pool changes its level at every tick, the first changes are written at once, and
// then two changes a minute.
func TestAFlappingLevelIsWrittenTwiceAMinute(t *testing.T) {
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	w, writes := lastWrite{}, 0
	for tick := range 360 { // an hour of 10 s
		now := start.Add(time.Duration(tick) * 10 * time.Second)
		s := newStatus([]v1alpha1.Level{v1alpha1.LevelNormal, v1alpha1.LevelCritical}[tick%2], int32(tick%2*90), "pool")
		if !now.Before(DefaultPolicy.nextWrite(w, s)) {
			w = w.recordWrite(s, now, 0.5, DefaultPolicy.MinInterval)
			writes++
		}
	}
	if writes < 50 || writes > 120 {
		t.Errorf("%d writes in an hour, want the first six at once and then at most two a minute", writes)
	}
}

// The answer to each spec is written at once, however many there are, because a rollout
// waits for it.
func TestAnswersToSpecsAreWrittenAtOnce(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	w := lastWrite{status: newStatus(v1alpha1.LevelNormal, 10, "pool"), at: now, quickWrites: maxQuickWrites} // a level has flapped
	for generation := range int64(50) {
		for _, state := range []v1alpha1.SettingState{v1alpha1.SettingPending, v1alpha1.SettingApplied} {
			now = now.Add(time.Second)
			s := newStatus(v1alpha1.LevelNormal, 10, "pool")
			s.ObservedGeneration = generation + 1
			s.Settings = []v1alpha1.SettingStatus{{State: state}}
			if due := DefaultPolicy.nextWrite(w, s); due.After(now) {
				t.Fatalf("generation %d, %s: due in %v", s.ObservedGeneration, state, due.Sub(now))
			}
			w = w.recordWrite(s, now, 0.5, DefaultPolicy.MinInterval)
		}
	}
	if w.quickWrites != maxQuickWrites {
		t.Errorf("quickWrites %d: answers were counted as flapping", w.quickWrites)
	}
}
