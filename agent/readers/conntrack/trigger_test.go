package conntrack

import (
	"testing"
	"time"
)

func TestTrigger(t *testing.T) {
	type step struct {
		at                    time.Duration
		count                 int // -1 if it can't be read
		shouldRead, isFailing bool
	}
	for name, steps := range map[string][]step{
		"failures before the agent started are ignored": {{0, 500, false, false}, {time.Second, 500, false, false}},
		"an increase triggers for a while": {{0, 5, false, false}, {10 * time.Second, 6, true, true},
			{69 * time.Second, 6, true, true}, {70 * time.Second, 6, true, false},
			{609 * time.Second, 6, true, false}, {610 * time.Second, 6, false, false}},
		"another increase extends it": {{0, 5, false, false}, {10 * time.Second, 6, true, true},
			{600 * time.Second, 7, true, true}, {700 * time.Second, 7, true, false}},
		"a counter that restarts has not increased": {{0, 5, false, false}, {time.Second, 0, false, false}, {2 * time.Second, 1, true, true}},
		"an unreadable counter has not increased": {{0, -1, false, false}, {time.Second, 3, false, false},
			{2 * time.Second, -1, false, false}, {3 * time.Second, 4, true, true}},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			var g failureTrigger
			for _, s := range steps {
				now := start.Add(s.at)
				var count *uint64
				if s.count >= 0 {
					count = new(uint64(s.count))
				}
				g.recordCount(count, now)
				if g.shouldReadTable(now) != s.shouldRead || g.isFailing(now) != s.isFailing {
					t.Errorf("after %v: should read %v, failing %v, want %v, %v", s.at, g.shouldReadTable(now), g.isFailing(now), s.shouldRead, s.isFailing)
				}
			}
		})
	}
}
