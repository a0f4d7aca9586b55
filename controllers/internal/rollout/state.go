package rollout

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"portreeve.io/portreeve/api/v1alpha1"
)

// rolloutState is where a rollout stands.
type rolloutState struct {
	Input
	nodes       []*nodeState // sorted by name
	updated     []*nodeState // selected, with the new settings
	pending     []*nodeState // to be changed, and their agents are there
	changing    []*nodeState
	canaryCount int
	soak        time.Duration
	budget      int // how many more may change
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
	c.budget = max(0, c.computeMaxUnavailable()-len(c.changing))
	return c
}

// computeMaxUnavailable is how many nodes may be in change at the same time: 1 at least.
func (c *rolloutState) computeMaxUnavailable() int {
	wish := intstr.FromString(defaultMaxUnavailable)
	if w := c.Tuning.Spec.Rollout.MaxUnavailable; w != nil {
		wish = *w
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(&wish, len(c.nodes), true)
	if err != nil {
		n = 1 // the API refuses what can't be read
	}
	return max(1, n)
}

// isCanaryStage says that only canaries have changed yet.
func (c *rolloutState) isCanaryStage() bool {
	return c.canaryCount > 0 && len(c.updated) <= c.canaryCount
}

// selectWithinBudget are the first of list that the budget has room for.
func (c *rolloutState) selectWithinBudget(list []*nodeState, limit int) []string {
	var names []string
	for _, n := range list[:min(len(list), c.budget, limit)] {
		names = append(names, n.Name)
	}
	return names
}

// findSettleTimes is when the first of the changed nodes, and when the last one had settled.
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

// hadPhase says whether the status, of this generation, has that phase.
func (c *rolloutState) hadPhase(phase v1alpha1.RolloutPhase) bool {
	s := c.Tuning.Status
	return s.ObservedGeneration == c.Tuning.Generation && s.Rollout.Phase == phase
}
