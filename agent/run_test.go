package agent_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
)

// script is a reader whose samples are given: the share of 100 ports in use, or
// -1 for a sample that fails. The last one is given again and again.
type script struct {
	mu   sync.Mutex
	used []int
	name string
	asks []socket.Request
}

func (s *script) Sample(_ context.Context, r socket.Request) (socket.Sample, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asks = append(s.asks, r)
	used := s.used[0]
	if len(s.used) > 1 {
		s.used = s.used[1:]
	}
	if used < 0 {
		return socket.Sample{}, errors.New("no such luck")
	}
	return socket.Sample{Taken: time.Now(), Reader: socket.Reader{Name: s.name}, Networks: []socket.Network{{
		Settings: socket.Settings{Range: ports.Range{First: 1001, Last: 1100}}, Held: used, Skipped: used,
	}}}, nil
}

func (s *script) Close() error { return nil }

type seen struct {
	status *v1alpha1.PortPressureStatus
	tick   agent.Tick
}

// loop runs a Loop over the script until n samples were seen.
func loop(t *testing.T, s *script, n int, before func(*agent.Loop)) (got []seen, logged string) {
	t.Helper()
	var log strings.Builder
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	l := &agent.Loop{
		Reader: s, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Facts:    func(*socket.Sample) assess.Facts { return assess.Facts{} },
		Name:     func(*socket.Sample) {},
		Interval: 20 * time.Millisecond, Pressed: 5 * time.Millisecond,
	}
	l.Seen = func(_ *socket.Sample, status *v1alpha1.PortPressureStatus, tick agent.Tick) {
		if got = append(got, seen{status, tick}); len(got) == n {
			stop()
		}
	}
	before(l)
	l.Run(ctx)
	if len(got) != n {
		t.Fatalf("saw %d samples, want %d", len(got), n)
	}
	return got, log.String()
}

func TestTheTickIsShorterPastTheLine(t *testing.T) {
	got, _ := loop(t, &script{used: []int{10, 60, 60, 10, 10}}, 5, func(*agent.Loop) {})
	var ticks []time.Duration
	for _, g := range got {
		ticks = append(ticks, g.tick.Interval)
	}
	const calm, pressed = 20 * time.Millisecond, 5 * time.Millisecond
	want := []time.Duration{calm, pressed, pressed, calm, calm}
	if !slices.Equal(ticks, want) {
		t.Errorf("ticks %v, want %v", ticks, want)
	}
}

func TestTheObjectSetsTheLineAndTellsWhatWas(t *testing.T) {
	from := metav1.NewTime(time.Date(2026, 11, 21, 3, 12, 0, 0, time.UTC))
	got, _ := loop(t, &script{used: []int{30}}, 1, func(l *agent.Loop) {
		l.Object(&v1alpha1.PortPressure{
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

func TestAThresholdThatIsSetAloneCounts(t *testing.T) {
	got, _ := loop(t, &script{used: []int{45}}, 1, func(l *agent.Loop) {
		l.Object(&v1alpha1.PortPressure{Spec: v1alpha1.PortPressureSpec{Thresholds: v1alpha1.Thresholds{WarningPercent: 40}}})
	})
	if s := got[0].status; s.Level != v1alpha1.LevelWarning {
		t.Errorf("level %s at 45 %%, want Warning from 40 %% on", s.Level)
	}
}

func TestAStatusSaysWhenPortsRunOut(t *testing.T) {
	got, _ := loop(t, &script{used: []int{50, 100}}, 2, func(*agent.Loop) {})
	if s := got[0].status.ExhaustionSeconds; s != nil {
		t.Errorf("%d s are left of a pool that was seen once", *s)
	}
	if s := got[1].status.ExhaustionSeconds; s == nil || *s != 0 {
		t.Errorf("%v s are left of a full pool, want 0", s)
	}
}

func TestASampleThatFailsIsToldOnceAndTriedAgain(t *testing.T) {
	_, logged := loop(t, &script{used: []int{10, -1, -1, -1, 10}}, 2, func(l *agent.Loop) {
		if l.Healthy() {
			t.Error("healthy before the first sample")
		}
	})
	if strings.Count(logged, "can't be read") != 1 || strings.Count(logged, "are read again") != 1 {
		t.Errorf("logged %s", logged)
	}
}

func TestOnlySockdiagIsAskedForLess(t *testing.T) {
	for name, want := range map[string]int{v1alpha1.ReaderPortwalk: 0, v1alpha1.ReaderSockdiag: 25} {
		s := &script{used: []int{10}, name: name}
		loop(t, s, 2, func(*agent.Loop) {})
		if got := s.asks[1].GatePercent; got != want {
			t.Errorf("%s is asked with a gate of %d %%, want %d", name, got, want)
		}
	}
}

func TestACloserLookIsAskedForAtTheWarningLine(t *testing.T) {
	object := &v1alpha1.PortPressure{}
	object.Spec.Thresholds = v1alpha1.Thresholds{WarningPercent: 40, CriticalPercent: 80}
	for want, before := range map[int]func(*agent.Loop){50: func(*agent.Loop) {}, 40: func(l *agent.Loop) { l.Object(object) }} {
		s := &script{used: []int{10}}
		loop(t, s, 1, before)
		if got := s.asks[0].LookPercent; got != want {
			t.Errorf("a look is asked for at %d %%, want %d", got, want)
		}
	}
}

func TestAnotherSpecIsNews(t *testing.T) {
	l := &agent.Loop{}
	for i, test := range []struct {
		generation int64
		want       bool
	}{{1, true}, {1, false}, {2, true}, {2, false}, {1, true}} { // the last is another object
		if got := l.Object(&v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Generation: test.generation}}); got != test.want {
			t.Errorf("step %d: generation %d is news: %t", i, test.generation, got)
		}
	}
}
