package rollout

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"portreeve.io/portreeve/api/v1alpha1"
)

// course is where a rollout stands.
type course struct {
	Input
	nodes    []*node // sorted by name
	changed  []*node // selected, with the new settings
	pending  []*node // to be changed, and their agents are there
	moving   []*node
	canaries int
	soak     time.Duration
	budget   int // how many more may change
}

func newCourse(in Input) *course {
	c := &course{Input: in, canaries: defaultCanaries, soak: defaultSoak}
	for _, n := range in.Nodes {
		c.nodes = append(c.nodes, newNode(n))
	}
	slices.SortFunc(c.nodes, func(a, b *node) int { return cmp.Compare(a.Name, b.Name) })
	for _, n := range c.nodes {
		if n.changed() {
			c.changed = append(c.changed, n)
		}
		if n.moving() {
			c.moving = append(c.moving, n)
		}
		if !n.current && !n.Silent {
			c.pending = append(c.pending, n)
		}
	}
	r := in.Tuning.Spec.Rollout
	if r.Canaries != nil {
		c.canaries = int(*r.Canaries)
	}
	if r.SoakSeconds != nil {
		c.soak = time.Duration(*r.SoakSeconds) * time.Second
	}
	c.budget = max(0, c.most()-len(c.moving))
	return c
}

// most is how many nodes may be in change at the same time: 1 at least.
func (c *course) most() int {
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

// early says that only canaries have changed yet.
func (c *course) early() bool { return c.canaries > 0 && len(c.changed) <= c.canaries }

// next are the first of list that the budget has room for.
func (c *course) next(list []*node, limit int) []string {
	var names []string
	for _, n := range list[:min(len(list), c.budget, limit)] {
		names = append(names, n.Name)
	}
	return names
}

// since is when the first of the changed nodes, and when the last one had settled.
func (c *course) since() (first, last time.Time) {
	for _, n := range c.changed {
		if !n.settled {
			continue
		}
		if first.IsZero() || n.at.Before(first) {
			first = n.at
		}
		if n.at.After(last) {
			last = n.at
		}
	}
	return first, last
}

// before says whether the status, of this generation, has that phase.
func (c *course) before(phase v1alpha1.RolloutPhase) bool {
	s := c.Tuning.Status
	return s.ObservedGeneration == c.Tuning.Generation && s.Rollout.Phase == phase
}
