package rollout

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"portreeve.io/portreeve/api/v1alpha1"
)

// rolloutState is the state of one rollout.
type rolloutState struct {
	Input
	nodes       []*nodeState // sorted by name
	updated     []*nodeState // selected, with the new settings
	pending     []*nodeState // not up to date, with an agent that reports
	changing    []*nodeState
	canaryCount int
	soak        time.Duration
	budget      int // number of nodes that may start changing now
}

func newRolloutState(in Input) *rolloutState {
	c := &rolloutState{Input: in, canaryCount: defaultCanaries, soak: defaultSoak}
	for _, n := range in.Nodes {
		c.nodes = append(c.nodes, newNodeState(n))
	}
	slices.SortFunc(c.nodes, func(a, b *nodeState) int { return cmp.Compare(a.Name, b.Name) })
	for _, n := range c.nodes {
		if n.isUpdated() {
			c.updated = append(c.updated, n)
		}
		if n.isChanging() {
			c.changing = append(c.changing, n)
		}
		if !n.upToDate && !n.AgentSilent {
			c.pending = append(c.pending, n)
		}
	}
	r := in.Tuning.Spec.Rollout
	if r.Canaries != nil {
		c.canaryCount = int(*r.Canaries)
	}
	if r.SoakSeconds != nil {
		c.soak = time.Duration(*r.SoakSeconds) * time.Second
	}
	c.budget = max(0, ComputeMaxUnavailable(c.Tuning, c.countLive())-len(c.changing))
	if in.Budget >= 0 {
		c.budget = min(c.budget, in.Budget)
	}
	return c
}

// ComputeMaxUnavailable returns how many nodes the NodeTuning may change at the same time,
// at least 1. nodes is the number of its nodes with a live agent, to which a percentage
// refers.
func ComputeMaxUnavailable(t *v1alpha1.NodeTuning, nodes int) int {
	limit := intstr.FromString(defaultMaxUnavailable)
	if w := t.Spec.Rollout.MaxUnavailable; w != nil {
		limit = *w
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(&limit, nodes, true)
	if err != nil {
		n = 1 // the API rejects values that cannot be parsed
	}
	return max(1, n)
}

// countLive returns the number of nodes whose agents can change settings.
func (c *rolloutState) countLive() (count int) {
	for _, n := range c.nodes {
		if !n.AgentSilent {
			count++
		}
	}
	return count
}

// isCanaryStage reports whether no nodes other than canaries have been updated.
func (c *rolloutState) isCanaryStage() bool {
	return c.canaryCount > 0 && len(c.updated) <= c.canaryCount
}

// selectWithinBudget returns the names of the first nodes of list, at most limit and at
// most as many as the budget allows.
func (c *rolloutState) selectWithinBudget(list []*nodeState, limit int) []string {
	var names []string
	for _, n := range list[:min(len(list), c.budget, limit)] {
		names = append(names, n.Name)
	}
	return names
}

// findSettleTimes returns when the first and the last of the updated nodes settled.
func (c *rolloutState) findSettleTimes() (first, last time.Time) {
	for _, n := range c.updated {
		if !n.settled {
			continue
		}
		if first.IsZero() || n.settledAt.Before(first) {
			first = n.settledAt
		}
		if n.settledAt.After(last) {
			last = n.settledAt
		}
	}
	return first, last
}

// hadPhase reports whether the current status is for this generation and has that phase.
func (c *rolloutState) hadPhase(phase v1alpha1.RolloutPhase) bool {
	s := c.Tuning.Status
	return s.ObservedGeneration == c.Tuning.Generation && s.Rollout.Phase == phase
}
