package agent_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
)

// scriptedReader returns given samples: the number of ports in use out of 100, or -1 for a
// sample that fails. It repeats the last one.
type scriptedReader struct {
	mu       sync.Mutex
	used     []int
	name     string
	requests []socket.Request
	cost     time.Duration // CPU time of each sample
}

func (s *scriptedReader) Sample(_ context.Context, r socket.Request) (socket.Sample, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	used := s.used[0]
	if len(s.used) > 1 {
		s.used = s.used[1:]
	}
	if used < 0 {
		return socket.Sample{}, errors.New("injected failure")
	}
	return socket.Sample{CPUTime: s.cost, Taken: time.Now(), Reader: socket.Reader{Name: s.name}, Networks: []socket.Network{{
		Settings: socket.Settings{Range: ports.Range{First: 1001, Last: 1100}}, InUse: used, Skipped: used,
	}}}, nil
}

func (s *scriptedReader) Close() error { return nil }

type observedSample struct {
	status *v1alpha1.PortPressureStatus
	tick   agent.Tick
}

// runLoop runs a Loop with the reader until n samples were taken.
func runLoop(t *testing.T, s *scriptedReader, n int, before func(*agent.Loop)) (got []observedSample, logged string) {
	t.Helper()
	var log strings.Builder
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	l := &agent.Loop{
		Reader: s, Log: slog.New(slog.NewTextHandler(&log, nil)),
		ReadFacts:    func(*socket.Sample) assess.Facts { return assess.Facts{} },
		ResolveNames: func(*socket.Sample) {},
		Interval:     20 * time.Millisecond, PressureInterval: 5 * time.Millisecond,
	}
	l.OnSample = func(_ *socket.Sample, status *v1alpha1.PortPressureStatus, tick agent.Tick) {
		if got = append(got, observedSample{status, tick}); len(got) == n {
			stop()
		}
	}
	before(l)
	l.Run(ctx)
	if len(got) != n {
		t.Fatalf("got %d samples, want %d", len(got), n)
	}
	return got, log.String()
}

func TestTheTickIsShorterAboveTheWarningThreshold(t *testing.T) {
	got, _ := runLoop(t, &scriptedReader{used: []int{10, 60, 60, 10, 10}}, 5, func(*agent.Loop) {})
	var ticks []time.Duration
	for _, g := range got {
		ticks = append(ticks, g.tick.Interval)
	}
	const normal, pressure = 20 * time.Millisecond, 5 * time.Millisecond
	want := []time.Duration{normal, pressure, pressure, normal, normal}
	if !slices.Equal(ticks, want) {
		t.Errorf("ticks %v, want %v", ticks, want)
	}
}

// A burst that fills a pool between two ticks is seen because its first failed call wakes the
// loop.
func TestAFailedCallWakesTheLoopWithinItsBudget(t *testing.T) {
	for name, test := range map[string]struct {
		cost  time.Duration
		calls []time.Duration // failed calls, since the start
		want  []time.Duration // samples
	}{
		"no failed call":                        {0, nil, []time.Duration{0, 10 * time.Second, 20 * time.Second}},
		"a sample at once":                      {0, []time.Duration{3 * time.Second}, []time.Duration{0, 3 * time.Second, 13 * time.Second}},
		"one sample a second":                   {0, []time.Duration{3 * time.Second, 3200 * time.Millisecond, 3300 * time.Millisecond}, []time.Duration{0, 3 * time.Second, 4 * time.Second, 14 * time.Second}},
		"no sooner than the CPU budget allows":  {100 * time.Millisecond, []time.Duration{time.Second}, []time.Duration{0, 5 * time.Second, 15 * time.Second}},
		"no later than the tick":                {400 * time.Millisecond, []time.Duration{time.Second}, []time.Duration{0, 20 * time.Second, 40 * time.Second}},
		"a call just before the tick adds none": {0, []time.Duration{9500 * time.Millisecond}, []time.Duration{0, 9500 * time.Millisecond, 19500 * time.Millisecond}},
		"a call right after a sample waits 1 s": {0, []time.Duration{10 * time.Millisecond}, []time.Duration{0, time.Second, 11 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				wake := make(chan struct{}, 1)
				for _, at := range test.calls {
					time.AfterFunc(at, func() {
						select {
						case wake <- struct{}{}:
						default:
						}
					})
				}
				var at []time.Duration
				runLoop(t, &scriptedReader{used: []int{10}, cost: test.cost}, len(test.want), func(l *agent.Loop) {
					l.Interval, l.PressureInterval, l.BudgetPercent, l.Wake = 10*time.Second, 2*time.Second, 2, wake
					count := l.OnSample
					l.OnSample = func(s *socket.Sample, status *v1alpha1.PortPressureStatus, tick agent.Tick) {
						at = append(at, time.Since(start))
						count(s, status, tick)
					}
				})
				if !slices.Equal(at, test.want) {
					t.Errorf("samples at %v, want %v", at, test.want)
				}
			})
		})
	}
}

func TestTheObjectSetsTheThresholdsAndTheLastPressure(t *testing.T) {
	from := metav1.NewTime(time.Date(2026, 11, 21, 3, 12, 0, 0, time.UTC))
	got, _ := runLoop(t, &scriptedReader{used: []int{30}}, 1, func(l *agent.Loop) {
		l.ApplyObject(&v1alpha1.PortPressure{
			ObjectMeta: metav1.ObjectMeta{Generation: 7},
			Spec:       v1alpha1.PortPressureSpec{Thresholds: v1alpha1.Thresholds{WarningPercent: 20, CriticalPercent: 40}},
			Status: v1alpha1.PortPressureStatus{LastPressure: &v1alpha1.Pressure{
				Level: v1alpha1.LevelCritical, PeakPercent: 99, Summary: "then", From: from}},
		})
	})
	s := got[0].status
	if s.Level != v1alpha1.LevelWarning || s.ObservedGeneration != 7 {
		t.Errorf("level %s of generation %d, want Warning of 7", s.Level, s.ObservedGeneration)
	}
	if p := s.LastPressure; p == nil || p.PeakPercent != 99 || !p.From.Equal(&from) {
		t.Errorf("the last pressure is %+v", p)
	}
}

func TestASingleThresholdCompletesTheOther(t *testing.T) {
	got, _ := runLoop(t, &scriptedReader{used: []int{45}}, 1, func(l *agent.Loop) {
		l.ApplyObject(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Thresholds: v1alpha1.Thresholds{WarningPercent: 40}}})
	})
	if s := got[0].status; s.Level != v1alpha1.LevelWarning {
		t.Errorf("level %s at 45 %%, want Warning from 40 %% on", s.Level)
	}
}

func TestAStatusForecastsExhaustion(t *testing.T) {
	got, _ := runLoop(t, &scriptedReader{used: []int{50, 100}}, 2, func(*agent.Loop) {})
	if s := got[0].status.ExhaustionSeconds; s != nil {
		t.Errorf("exhaustion in %d s is forecast from one sample", *s)
	}
	if s := got[1].status.ExhaustionSeconds; s == nil || *s != 0 {
		t.Errorf("exhaustion in %v s is forecast for a full pool, want 0", s)
	}
}

func TestAFailingSampleIsLoggedOnceAndRetried(t *testing.T) {
	_, logged := runLoop(t, &scriptedReader{used: []int{10, -1, -1, -1, 10}}, 2, func(l *agent.Loop) {
		if l.IsHealthy() {
			t.Error("healthy before the first sample")
		}
	})
	if strings.Count(logged, "failed to read the socket tables") != 1 || strings.Count(logged, "works again") != 1 {
		t.Errorf("logged %s", logged)
	}
}

func TestDetailsAreReadFrom25PointsBelowTheWarningThresholdAndOfAllOnceAMinute(t *testing.T) {
	for warning, want := range map[int32]int{50: 25, 80: 55, 10: 0} {
		object := &v1alpha1.PortPressure{}
		object.Spec.Thresholds = v1alpha1.Thresholds{WarningPercent: warning, CriticalPercent: 90}
		s := &scriptedReader{used: []int{10}}
		runLoop(t, s, 1, func(l *agent.Loop) { l.ApplyObject(object) })
		if got := s.requests[0]; got.DetailPercent != want || got.MaxDetailAge != time.Minute {
			t.Errorf("at the threshold %d %%: %+v, want details from %d %%", warning, got, want)
		}
	}
}

func TestPoolsAreInspectedFromTheWarningThreshold(t *testing.T) {
	object := &v1alpha1.PortPressure{}
	object.Spec.Thresholds = v1alpha1.Thresholds{WarningPercent: 40, CriticalPercent: 80}
	for want, before := range map[int]func(*agent.Loop){50: func(*agent.Loop) {}, 40: func(l *agent.Loop) { l.ApplyObject(object) }} {
		s := &scriptedReader{used: []int{10}}
		runLoop(t, s, 1, before)
		if got := s.requests[0].InspectPercent; got != want {
			t.Errorf("inspection is requested at %d %%, want %d", got, want)
		}
	}
}

func TestANewSpecIsReported(t *testing.T) {
	l := &agent.Loop{}
	for i, test := range []struct {
		generation int64
		want       bool
	}{{1, true}, {1, false}, {2, true}, {2, false}, {1, true}} { // the last is another object
		if got := l.ApplyObject(&v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Generation: test.generation}}); got != test.want {
			t.Errorf("step %d: generation %d is a new spec: %t", i, test.generation, got)
		}
	}
}
