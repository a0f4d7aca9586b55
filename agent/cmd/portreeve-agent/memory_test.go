package main

import "testing"

func TestMemoryIsDivided(t *testing.T) {
	for name, c := range map[string]struct {
		limit uint64
		want  memoryBudget
	}{
		"no limit":          {0, memoryBudget{}},
		"the chart's limit": {64 << 20, memoryBudget{goBytes: 671088 * 60, destinations: 32 << 10}},
		"a small limit":     {1 << 20, memoryBudget{goBytes: 10485 * 60, destinations: 4 << 10}},
		"a large limit":     {8 << 30, memoryBudget{goBytes: 85899345 * 60, destinations: 256 << 10}},
	} {
		if got := planMemory(c.limit); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
