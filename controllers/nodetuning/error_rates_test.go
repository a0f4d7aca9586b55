package nodetuning

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/histories"
)

// effect describes simulated rollouts of a setting: how often port pressure increases on
// each node anyway, and on which share of the updated nodes the setting increases it.
type effect struct {
	nodes  int
	perDay float64 // increases for each node and day, of other causes
	peak   float64 // share of all nodes on which a peak of traffic increases it at once
	// peakInWatch reports whether the peak is after the last batch, and not before it.
	peakInWatch bool
	harm        float64
}

// TestRolloutErrorRates simulates rollouts of 60 (fewer unless make test-long) clusters for
// each effect. The table in docs/tuning.md is its output with -v.
func TestRolloutErrorRates(t *testing.T) {
	rollouts := min(60, histories.Count(2))
	for _, test := range []struct {
		effect
		maxStopped, minEarly int // of 60
	}{
		{effect{nodes: 1000, perDay: 1}, 1, 0},
		{effect{nodes: 1000, perDay: 1.0 / 7}, 1, 0},
		{effect{nodes: 1000, perDay: 24}, 1, 0},
		{effect{nodes: 200, perDay: 1}, 1, 0},
		{effect{nodes: 20, perDay: 1}, 1, 0},
		{effect{nodes: 1000, perDay: 1, peak: 0.3}, 1, 0},
		{effect{nodes: 1000, perDay: 1, peak: 0.3, peakInWatch: true}, 60, 0},
		{effect{nodes: 20, perDay: 1, peak: 0.5}, 1, 0},
		{effect{nodes: 1000, perDay: 1, harm: 0.3}, 60, 59},
		{effect{nodes: 1000, perDay: 24, harm: 0.3}, 60, 59},
		{effect{nodes: 1000, perDay: 1, harm: 0.1}, 60, 55},
		{effect{nodes: 200, perDay: 1, harm: 0.3}, 60, 55},
		{effect{nodes: 20, perDay: 1, harm: 1}, 60, 59},
	} {
		t.Run(fmt.Sprintf("%+v", test.effect), func(t *testing.T) {
			t.Parallel()
			stopped, early := 0, 0
			for seed := range rollouts {
				s := test.runRollout(t, uint64(seed))
				if r := s.tunings["t"].Status.Rollout; r.Stop != nil {
					stopped++
					if r.Batch.Number <= 2 {
						early++
					}
				}
			}
			t.Log(test.formatRow(rollouts, stopped, early))
			if stopped > test.maxStopped || early < test.minEarly+rollouts-60 {
				t.Errorf("%d of %d stopped, want at most %d; %d early, want %d", stopped, rollouts, test.maxStopped, early, test.minEarly)
			}
		})
	}
}

// formatRow returns a row of the table: the nodes, what happens on them, and how many
// rollouts completed, stopped, and stopped at the canary or in the first batch.
func (e effect) formatRow(rollouts, stopped, early int) string {
	peak := fmt.Sprintf("%.0f %%", e.peak*100)
	if e.peakInWatch {
		peak += " after the last batch"
	}
	return fmt.Sprintf("| %d | %.2g | %s | %.0f %% | %d | %d | %d |", e.nodes, e.perDay, peak, e.harm*100, rollouts-stopped, stopped, early)
}

// runRollout simulates one rollout until it has completed or stopped.
func (e effect) runRollout(t *testing.T, seed uint64) *simulation {
	const interval = 10 * time.Second
	r := rand.New(rand.NewPCG(seed, 3))
	s := newSimulation(t, e.nodes)
	harmful, affected := map[string]bool{}, map[string]time.Time{}
	for i := range e.nodes {
		name := fmt.Sprintf("n%04d", i)
		age := time.Duration(r.ExpFloat64() / e.perDay * float64(24*time.Hour))
		s.nodes[name].status.LastPressure = &v1alpha1.Pressure{From: metav1.Time{Time: s.now.Add(-age)}}
		harmful[name] = r.Float64() < e.harm
	}
	s.createTuning("t", nil, withFinTimeout(20))
	peakAt := s.now.Add(time.Duration(r.Int64N(int64(12 * time.Minute)))) // the last batch starts later
	s.runUntil("ended", interval, func() bool {
		isWatching := s.hasPhase("t", v1alpha1.RolloutWatching)
		if e.peakInWatch && isWatching && s.now.Sub(s.tunings["t"].Status.Rollout.Since.Time) <= interval {
			peakAt = s.now
		}
		isPeak := e.peak > 0 && e.peakInWatch == isWatching && !s.now.Before(peakAt) && s.now.Before(peakAt.Add(interval))
		for i := range e.nodes {
			name := fmt.Sprintf("n%04d", i)
			if r.Float64() < e.perDay*interval.Hours()/24 || isPeak && r.Float64() < e.peak {
				s.raisePressure(name, v1alpha1.LevelWarning)
			}
			if at, ok := affected[name]; harmful[name] && len(s.nodes[name].kernel) > 0 && !ok {
				affected[name] = s.now.Add(time.Duration(r.Int64N(int64(30 * time.Second))))
			} else if ok && !at.IsZero() && !s.now.Before(at) {
				affected[name] = time.Time{}
				s.raisePressure(name, v1alpha1.LevelCritical)
			}
		}
		return s.hasPhase("t", v1alpha1.RolloutComplete) || s.hasPhase("t", v1alpha1.RolloutPaused)
	})
	return s
}
