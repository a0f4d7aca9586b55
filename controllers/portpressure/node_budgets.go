package portpressure

import (
	"slices"
	"sync"
	"time"

	"portreeve.io/portreeve/controllers/internal/transition"
)

// A node that flaps is told of so often an hour, and then when the hour is over. Failed
// calls are not among it: they have their own pace (transition.Between).
const (
	flaps     = 6
	flapsTime = time.Hour
)

// nodeBudgets remembers when changes of each node were told, in this process: a successor
// begins anew. The zero value is ready to use.
type nodeBudgets struct {
	mu    sync.Mutex
	nodes map[string][]time.Time // at most flaps each, the oldest first
}

// countRemaining is how many changes of the node may be told now, and when there is more where it
// is scarce.
func (b *nodeBudgets) countRemaining(node string, now time.Time) (n int, next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	told := slices.DeleteFunc(b.nodes[node], func(t time.Time) bool { return now.Sub(t) >= flapsTime })
	if len(told) == 0 {
		delete(b.nodes, node)
		return flaps, time.Time{}
	}
	b.nodes[node] = told
	if n = flaps - len(told); n > 1 {
		return n, time.Time{}
	}
	return n, told[0].Add(flapsTime)
}

// recordChanges notes that changes of the node were told.
func (b *nodeBudgets) recordChanges(node string, now time.Time, changes []transition.Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range changes {
		if !c.UsesBudget() {
			continue
		}
		if b.nodes == nil {
			b.nodes = map[string][]time.Time{}
		}
		b.nodes[node] = append(b.nodes[node], now)
	}
}

func (b *nodeBudgets) forgetNode(node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.nodes, node)
}
