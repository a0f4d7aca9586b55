package rollout

import (
	"cmp"
	"slices"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// quietPast is for how long port pressure should not have increased on a canary.
const quietPast = 24 * time.Hour

// missingCanaries are canaries that one operating system still needs.
type missingCanaries struct {
	os         string
	count      int
	candidates []*nodeState
}

// findMissingCanaries returns the operating systems that need more canaries, if only
// canaries may be updated. Canaries on which the update failed do not count. An operating
// system without further nodes to update needs none.
func (c *rolloutState) findMissingCanaries() (list []missingCanaries) {
	if !c.isCanaryStage() {
		return nil
	}
	good, gaining, candidates := map[string]int{}, map[string]bool{}, map[string][]*nodeState{}
	for _, n := range c.changed {
		if n.isGoodCanary() {
			good[n.OS]++
		}
	}
	for _, n := range c.pending {
		if n.isGaining() {
			gaining[n.OS] = true
			if n.CanaryCandidate {
				candidates[n.OS] = append(candidates[n.OS], n)
			}
		}
	}
	for os := range gaining {
		if missing := c.canaryCount - good[os]; missing > 0 {
			list = append(list, missingCanaries{os, missing, candidates[os]})
		}
	}
	slices.SortFunc(list, func(a, b missingCanaries) int { return cmp.Compare(a.os, b.os) })
	return list
}

// pickCanaries returns typical nodes of the candidates: among those with traffic and
// without recent pressure, they are evenly spread by port usage. The busiest node would be
// the one whose pressure proves least. Settings with the activation UnderPressure take
// effect only on nodes under pressure, so these come first.
func (c *rolloutState) pickCanaries(m missingCanaries) []*nodeState {
	nodes := slices.Clone(m.candidates)
	for _, isBetter := range []func(*nodeState) bool{
		c.isActive, (*nodeState).hasTraffic, func(n *nodeState) bool { return c.isQuiet(n) || c.isActive(n) },
	} {
		better := slices.DeleteFunc(slices.Clone(nodes), func(n *nodeState) bool { return !isBetter(n) })
		if len(better) >= m.count {
			nodes = better
		}
	}
	slices.SortStableFunc(nodes, func(a, b *nodeState) int { return cmp.Compare(a.usedPercent(), b.usedPercent()) })
	count := min(m.count, len(nodes))
	picked := make([]*nodeState, 0, count)
	for i := range count {
		picked = append(picked, nodes[(2*i+1)*len(nodes)/(2*count)])
	}
	return picked
}

// isActive reports whether the node would apply settings that are applied under pressure only.
func (c *rolloutState) isActive(n *nodeState) bool {
	return c.Tuning.Spec.Activation == v1alpha1.ActivationUnderPressure && n.Status != nil && n.Status.Level.IsWorseThan(v1alpha1.LevelNormal)
}

func (c *rolloutState) isQuiet(n *nodeState) bool {
	last := n.findLastIncrease()
	return last.IsZero() || c.Now.Sub(last) >= quietPast
}

// isConclusive reports whether the batch shows what the settings do. Canaries do only while
// a setting is in effect and the node has traffic, on each operating system.
func (c *rolloutState) isConclusive() bool {
	if !c.isCanaryStage() {
		return true
	}
	conclusive := map[string]bool{}
	for _, n := range c.changed {
		if n.isGoodCanary() {
			conclusive[n.OS] = conclusive[n.OS] || n.settled && n.hasEffect && n.hasTraffic()
		}
	}
	for _, ok := range conclusive {
		if !ok {
			return false
		}
	}
	return len(conclusive) > 0
}

// selectCanaries returns the nodes that become canaries now, within the budget. If there
// are domains, all are of one.
func (c *rolloutState) selectCanaries() (picked []*nodeState) {
	limit := c.budget
	for _, m := range c.findMissingCanaries() {
		if c.Tuning.Spec.Rollout.TopologyKey != "" && len(m.candidates) > 0 {
			domain := c.findActiveDomain(slices.Concat(picked, m.candidates))
			m.candidates = slices.DeleteFunc(m.candidates, func(n *nodeState) bool { return n.Domain != domain })
			limit = min(limit, c.limitToDomain(domain, c.budget)-len(picked))
		}
		m.count = min(m.count, limit)
		limit -= max(0, m.count)
		if m.count > 0 {
			picked = append(picked, c.pickCanaries(m)...)
		}
	}
	return picked
}
