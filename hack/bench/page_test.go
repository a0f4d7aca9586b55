package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/internal/testutil/golden"
)

func ms(n ...float64) []time.Duration {
	ds := make([]time.Duration, len(n))
	for i, f := range n {
		ds[i] = time.Duration(f * float64(time.Millisecond))
	}
	return ds
}

func exampleResult() result {
	return result{
		scenario: scenario{
			title: "Some sockets", text: "Made up.",
			watchMemory: &memory{resident: 20 << 20, peak: 30 << 20, maps: 6 << 20},
			goals:       []goal{{"a", "b", 0.15}, {"b", "a", 0}, {"a", "missing", 0.1}},
		},
		rows: []subjectRow{
			{"a", ms(10, 12, 30), memory{peak: 3 << 20, maps: 1 << 19}},
			{"b", ms(100, 100, 100), memory{peak: 5 << 20}},
			{"c", ms(1, 2, 3), memory{}},
		},
	}
}

func TestASectionShowsFiguresRatiosAndGoals(t *testing.T) {
	golden.Check(t, "testdata/section.md", exampleResult().formatSection())
}

func TestOnlyAMedianAboveItsGoalIsMissed(t *testing.T) {
	r := exampleResult()
	if got := r.listMissedGoals(); len(got) != 0 {
		t.Errorf("missed %q", got)
	}
	r.rows[0].cpu = ms(10, 16, 17)
	want := []string{"Some sockets: a ÷ b is 0.160, the goal is 0.15"}
	if d := cmp.Diff(want, r.listMissedGoals()); d != "" {
		t.Error(d)
	}
}

func TestTheMedianIsTheMiddleOrTheMeanOfTheMiddleTwo(t *testing.T) {
	for name, c := range map[string]struct {
		in   []float64
		want spread
	}{
		"one":   {[]float64{4}, spread{4, 4, 4}},
		"three": {[]float64{9, 1, 4}, spread{4, 1, 9}},
		"four":  {[]float64{9, 1, 4, 5}, spread{4.5, 1, 9}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := computeSpread(c.in); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestRatiosArePairedByRound(t *testing.T) {
	if got, want := pairedRatios(ms(1, 30, 2), ms(10, 100, 40)), (spread{0.1, 0.05, 0.3}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestEachScenarioCanKeepItsGoals(t *testing.T) {
	for _, s := range listScenarios() {
		for _, g := range s.goals {
			for _, name := range []string{g.a, g.b} {
				found := false
				for _, subject := range s.subjects {
					found = found || subject == name
				}
				if !found {
					t.Errorf("%s: the goal's %s isn't measured", s.key, name)
				}
			}
		}
	}
}
