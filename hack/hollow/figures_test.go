package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/internal/testutil/golden"
)

// good just meets every goal.
func good() benchmarkFigures {
	f := benchmarkFigures{
		nodes: 5000, normalSize: 1321, pressureSize: 4989,
		created: 120 * time.Second, written: 150 * time.Second,
		settledMemory: 100 << 20, peakMemory: 140 << 20, hasSettled: true,
		burst: burstFigures{changes: 1000, duration: 10 * time.Second, lastWritten: 15 * time.Second, throttled: 3},
	}
	for i := range 1000 {
		f.burst.latencies = append(f.burst.latencies, time.Duration(1000-i)*time.Millisecond)
	}
	return f
}

func TestTheTableShowsFiguresAndGoals(t *testing.T) {
	golden.Check(t, "testdata/table.md", good().formatTable())
}

func TestMissedGoals(t *testing.T) {
	tests := map[string]struct {
		change func(*benchmarkFigures)
		want   []string
	}{
		"none":                    {func(*benchmarkFigures) {}, nil},
		"created too late":        {func(f *benchmarkFigures) { f.created = 121 * time.Second }, []string{"all PortPressures were created after 121.0 s, the goal is 120.0 s"}},
		"too much memory":         {func(f *benchmarkFigures) { f.settledMemory = 101 << 20 }, []string{"the controller's memory is 101 MiB, the goal is 100 MiB"}},
		"memory that still moves": {func(f *benchmarkFigures) { f.hasSettled = false }, []string{"the controller's memory did not settle"}},
		"a slow burst":            {func(f *benchmarkFigures) { f.burst.lastWritten = 16 * time.Second }, []string{"the burst was written after 16.0 s, the goal is 15.0 s"}},
		"a write without answer":  {func(f *benchmarkFigures) { f.burst.latencies = f.burst.latencies[1:] }, []string{"1 writes of the burst were not answered"}},
		"a lost level":            {func(f *benchmarkFigures) { f.lost = 2 }, []string{"2 level changes were lost"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := good()
			tt.change(&f)
			if d := cmp.Diff(tt.want, f.listMissedGoals()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPercentile(t *testing.T) {
	tests := map[string]struct {
		of   []time.Duration
		p    int
		want time.Duration
	}{
		"of nothing":                {nil, 50, 0},
		"of one":                    {[]time.Duration{7}, 99, 7},
		"the median of three":       {[]time.Duration{9, 1, 5}, 50, 5},
		"the median of four is low": {[]time.Duration{4, 3, 2, 1}, 50, 2},
		"the 99th of a thousand":    {good().burst.latencies, 99, 990 * time.Millisecond},
		"all":                       {[]time.Duration{1, 2, 3}, 100, 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := computePercentile(tt.of, tt.p); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
