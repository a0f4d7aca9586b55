package nodetuning

import (
	"portreeve.io/portreeve/controllers/internal/rollout"
)

// passBudget limits the nodes that all NodeTunings together change in one pass. Nodes
// that a silent agent or a user holds back do not count.
type passBudget struct {
	limit    int
	changing map[string]bool          // nodes, including those planned in this pass
	tunings  map[string]*tuningBudget // that have changed nodes in this pass
	latest   *tuningBudget
}

// tuningBudget is the limit of one NodeTuning, which also applies to changes of its nodes
// by others in the same pass.
type tuningBudget struct {
	remaining int
	nodes     map[string]bool
	joined    map[string]bool // nodes that joined after the rollout, and are not limited
}

// newPassBudget returns the budget at the start of a pass.
func (v *resolvedState) newPassBudget() *passBudget {
	b := &passBudget{changing: map[string]bool{}, tunings: map[string]*tuningBudget{}}
	live := 0
	for _, n := range v.nodes {
		if n.obstacle == "" {
			live++
		}
		if n.isChanging() {
			b.changing[n.Name] = true
		}
	}
	highest := 1
	for _, t := range v.tunings {
		selected := v.countSelected(t)
		highest = max(highest, rollout.ComputeMaxUnavailable(&t.NodeTuning, selected))
	}
	b.limit = v.pace.Limit(live, highest)
	return b
}

// countSelected returns the number of nodes with a live agent that t selects, or that have
// its settings.
func (v *resolvedState) countSelected(t *tuning) (count int) {
	for _, n := range v.nodes {
		_, selected := v.resolved.Desired(t.Name, n.Name)
		if (selected || len(n.current[t.Name]) > 0) && n.obstacle == "" {
			count++
		}
	}
	return count
}

// countRemaining returns how many of the nodes may start to change. It includes those that
// change anyway in this pass.
func (b *passBudget) countRemaining(nodes []rollout.Node) int {
	remaining := b.limit - len(b.changing)
	for _, n := range nodes {
		if n.Observed && b.changing[n.Name] {
			remaining++
		}
	}
	return max(0, remaining)
}

// takeChanges limits the changes of the decision d about the input to those that the
// NodeTuning may make now.
func (b *passBudget) takeChanges(in rollout.Input, d *rollout.Decision) {
	if len(d.Update)+len(d.Revert) == 0 {
		return
	}
	b.addTuning(in)
	d.Update, d.Revert = b.takeNodes(in.Tuning.Name, d.Update), b.takeNodes(in.Tuning.Name, d.Revert)
}

// addTuning prepares takeNodes for the NodeTuning with that input.
func (b *passBudget) addTuning(in rollout.Input) {
	live, changing := 0, 0
	t := &tuningBudget{nodes: make(map[string]bool, len(in.Nodes)), joined: map[string]bool{}}
	completed := in.Tuning.Status.Rollout.CompletedAt
	for _, n := range in.Nodes {
		t.nodes[n.Name] = true
		if completed != nil && n.CreatedAt.After(completed.Time) {
			t.joined[n.Name] = true
		}
		if !n.AgentSilent && !n.Held && (n.Selected || len(n.Current) > 0) {
			live++
		}
		if b.changing[n.Name] {
			changing++
		}
	}
	t.remaining = rollout.ComputeMaxUnavailable(in.Tuning, live) - changing
	b.latest = t
}

// takeNodes returns those of the nodes that the NodeTuning may change now: those that keep
// within its limit, that of the cluster, and those of the NodeTunings that have changed
// nodes in this pass.
func (b *passBudget) takeNodes(tuning string, names []string) (taken []string) {
	for _, name := range names {
		if !b.mayChange(tuning, name) {
			continue
		}
		if !b.changing[name] {
			b.addChange(tuning, name)
		}
		b.tunings[tuning] = b.latest
		taken = append(taken, name)
	}
	return taken
}

// mayChange reports whether all limits allow the NodeTuning to change the node. One that
// changes anyway counts already.
func (b *passBudget) mayChange(tuning, node string) bool {
	switch {
	case b.latest.joined[node]:
		return b.changing[node] || b.hasRemaining(tuning, node)
	case b.changing[node]:
		return b.latest.remaining >= 0
	}
	return b.latest.remaining > 0 && len(b.changing) < b.limit && b.hasRemaining(tuning, node)
}

// addChange counts the node against all limits that apply to it.
func (b *passBudget) addChange(tuning, node string) {
	b.changing[node] = true
	b.latest.remaining--
	for name, t := range b.tunings {
		if name != tuning && t.nodes[node] {
			t.remaining--
		}
	}
}

// hasRemaining reports whether the limits of other NodeTunings allow the change.
func (b *passBudget) hasRemaining(tuning, node string) bool {
	for name, t := range b.tunings {
		if name != tuning && t.nodes[node] && t.remaining <= 0 {
			return false
		}
	}
	return true
}
