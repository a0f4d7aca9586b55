package portpressure

import (
	"sync"
	"time"

	"portreeve.io/portreeve/controllers/internal/transition"
	"portreeve.io/portreeve/internal/eventlimit"
)

// nodeBudgets limits the Events about each node. Failed calls are not counted here: they
// have their own interval (transition.FindChanges). A new process starts with full
// budgets. The zero value is ready to use.
type nodeBudgets struct {
	mu    sync.Mutex
	nodes map[string]*eventlimit.Budget
}

// countRemaining returns how many changes of the node may be reported now. When at most
// one is left, it also returns when there will be one more.
func (b *nodeBudgets) countRemaining(node string, now time.Time) (n int, next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	budget, ok := b.nodes[node]
	if !ok {
		return eventlimit.ObjectHourlyLimit, time.Time{}
	}
	n = budget.CountRemaining(eventlimit.ObjectHourlyLimit, now)
	switch {
	case n == eventlimit.ObjectHourlyLimit:
		delete(b.nodes, node)
	case n <= 1:
		next = budget.NextExpiry()
	}
	return n, next
}

// recordChanges counts changes of the node that are being reported.
func (b *nodeBudgets) recordChanges(node string, now time.Time, changes []transition.Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range changes {
		if !c.UsesBudget() {
			continue
		}
		if b.nodes == nil {
			b.nodes = map[string]*eventlimit.Budget{}
		}
		if b.nodes[node] == nil {
			b.nodes[node] = &eventlimit.Budget{}
		}
		b.nodes[node].Record(now)
	}
}

func (b *nodeBudgets) forgetNode(node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.nodes, node)
}
