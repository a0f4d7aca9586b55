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

func TestWhenAStatusIsDue(t *testing.T) {
	wrote := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	calm, pressed := newStatus(v1alpha1.LevelNormal, 20, "a"), newStatus(v1alpha1.LevelWarning, 60, "a")
	for name, c := range map[string]struct {
		w    lastWrite
		now  *v1alpha1.PortPressureStatus
		want time.Duration // after the last write; 0: at once
	}{
		"the first at once":                            {lastWrite{}, calm, 0},
		"another level at once":                        {lastWrite{calm, wrote, 0, 0}, pressed, 0},
		"the same at the heartbeat":                    {lastWrite{calm, wrote, 0.5, 0}, newStatus(v1alpha1.LevelNormal, 24, "a"), 30 * time.Minute},
		"the heartbeat comes up to a tenth earlier":    {lastWrite{calm, wrote, 0, 0}, calm, 27 * time.Minute},
		"the heartbeat comes up to a tenth later":      {lastWrite{calm, wrote, 1, 0}, calm, 33 * time.Minute},
		"five points while calm wait":                  {lastWrite{calm, wrote, 0.5, 0}, newStatus(v1alpha1.LevelNormal, 25, "a"), 20 * time.Minute},
		"five points past the line wait a minute":      {lastWrite{pressed, wrote, 0.5, 0}, newStatus(v1alpha1.LevelWarning, 55, "a"), time.Minute},
		"another tightest pool while calm is no news":  {lastWrite{calm, wrote, 0.5, 0}, newStatus(v1alpha1.LevelNormal, 20, "b"), 30 * time.Minute},
		"another tightest pool past the line is":       {lastWrite{pressed, wrote, 0.5, 0}, newStatus(v1alpha1.LevelWarning, 60, "b"), time.Minute},
		"worse at once, even after flapping":           {lastWrite{calm, wrote, 0, maxQuickWrites}, pressed, 0},
		"better waits after flapping":                  {lastWrite{pressed, wrote, 0, maxQuickWrites}, calm, time.Minute},
		"ports that will run out soon at once":         {lastWrite{calm, wrote, 0, 0}, withExhaustionIn(600, calm), 0},
		"even when that was known for later":           {lastWrite{withExhaustionIn(900, calm), wrote, 0, 0}, withExhaustionIn(600, calm), 0},
		"those that will later wait for the heartbeat": {lastWrite{calm, wrote, 0.5, 0}, withExhaustionIn(601, calm), 30 * time.Minute},
		"some seconds less are no news":                {lastWrite{withExhaustionIn(600, calm), wrote, 0.5, 0}, withExhaustionIn(60, calm), 30 * time.Minute},
		"nor is a little more":                         {lastWrite{withExhaustionIn(600, calm), wrote, 0.5, 0}, withExhaustionIn(1200, calm), 30 * time.Minute},
		"that they won't waits a minute, calm or not":  {lastWrite{withExhaustionIn(600, calm), wrote, 0.5, 0}, calm, time.Minute},
		"a forecast that flaps waits":                  {lastWrite{calm, wrote, 0, maxQuickWrites}, withExhaustionIn(60, calm), time.Minute},
		"calls that fail at once":                      {lastWrite{calm, wrote, 0, 0}, withFailureAt(0, calm), 0},
		"more of them wait for the heartbeat":          {lastWrite{withFailureAt(0, calm), wrote, 0.5, 0}, withFailureAt(9*time.Minute, calm), 30 * time.Minute},
		"and are news after ten minutes":               {lastWrite{withFailureAt(0, calm), wrote, 0.5, 0}, withFailureAt(10*time.Minute, calm), 0},
		"those that are forgotten are no news":         {lastWrite{withFailureAt(time.Hour, calm), wrote, 0.5, 0}, withFailureAt(0, calm), 30 * time.Minute},
		"nothing measured any more":                    {lastWrite{pressed, wrote, 0.5, 0}, &v1alpha1.PortPressureStatus{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := DefaultPolicy.nextWrite(c.w, c.now)
			if c.want == 0 && !got.IsZero() || c.want != 0 && got.Sub(wrote) != c.want {
				t.Errorf("due %v after the last write, want %v", got.Sub(wrote), c.want)
			}
		})
	}
}

// withFailureAt is s with calls that failed so long after noon.
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

// A healthy node whose figures move all the time makes four writes an hour.
func TestAHealthyNodeIsQuiet(t *testing.T) {
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

// A forecast that comes and goes is written as a level that flaps.
func TestAFlappingForecastWaits(t *testing.T) {
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	w, writes := lastWrite{}, 0
	calm := newStatus(v1alpha1.LevelNormal, 45, "pool")
	for tick := range 360 { // an hour of 10 s
		now := start.Add(time.Duration(tick) * 10 * time.Second)
		s := []*v1alpha1.PortPressureStatus{calm, withExhaustionIn(300, calm)}[tick%2]
		if !now.Before(DefaultPolicy.nextWrite(w, s)) {
			w = w.recordWrite(s, now, 0.5, DefaultPolicy.MinInterval)
			writes++
		}
	}
	if writes < 50 || writes > 120 {
		t.Errorf("%d writes in an hour, want the first six at once and then at most two a minute", writes)
	}
}

// A pool that jumps between levels at every tick gets its first moves through at
// once, and then one and its return a minute.
func TestAFlappingLevelWaits(t *testing.T) {
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

// Each spec is answered at once, however many there are: a rollout waits for it.
func TestSpecsAreAnsweredAtOnce(t *testing.T) {
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
		t.Errorf("hasty %d: answers were taken for flapping", w.quickWrites)
	}
}
