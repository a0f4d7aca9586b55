package rollout

import (
	"hash/fnv"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// selectBatch returns the nodes of list that may change now: at most as many as the budget
// allows, from one domain if there are domains, and otherwise spread over the list, which
// is sorted by name. Pools often share a prefix, so that a batch in the order of names
// would take a whole pool.
func (c *rolloutState) selectBatch(list []*nodeState) []*nodeState {
	limit := c.budget
	if c.Tuning.Spec.Rollout.TopologyKey != "" && len(list) > 0 {
		domain := c.findActiveDomain(list)
		list = slices.DeleteFunc(slices.Clone(list), func(n *nodeState) bool { return n.Domain != domain })
		limit = c.limitToDomain(domain, limit)
	}
	return spreadNodes(list, limit, c.Tuning.Generation)
}

// findActiveDomain returns the domain to update next: one that the rollout has begun, or
// the first one by name.
func (c *rolloutState) findActiveDomain(list []*nodeState) string {
	begun := map[string]bool{}
	for _, n := range c.changed {
		begun[n.Domain] = true
	}
	best := list[0].Domain
	for _, n := range list {
		if begun[n.Domain] && !begun[best] || begun[n.Domain] == begun[best] && n.Domain < best {
			best = n.Domain
		}
	}
	return best
}

// limitToDomain returns how many nodes of a domain may start to change: none while those of
// another one change, and a percentage in maxUnavailable refers to the domain.
func (c *rolloutState) limitToDomain(domain string, limit int) int {
	for _, n := range c.changing {
		if n.Domain != domain {
			return 0
		}
	}
	if c.maxUnavailable.Type == intstr.Int {
		return limit
	}
	size := 0
	for _, n := range c.nodes {
		if n.Domain == domain && !n.AgentSilent && !n.Held {
			size++
		}
	}
	return min(limit, max(0, c.computeMaxUnavailable(size)-len(c.changing)))
}

// spreadNodes returns at most limit nodes, one from each of as many equal sections of list.
// Which one depends on the seed, so that no pattern in the names repeats.
func spreadNodes(list []*nodeState, limit int, seed int64) []*nodeState {
	if limit >= len(list) {
		return list
	}
	picked := make([]*nodeState, 0, max(0, limit))
	for i := range limit {
		section := list[i*len(list)/limit : (i+1)*len(list)/limit]
		picked = append(picked, slices.MinFunc(section, func(a, b *nodeState) int {
			return int(hashName(a.Name, seed)) - int(hashName(b.Name, seed))
		}))
	}
	return picked
}

// hashName returns a number that looks random and depends on the name and the seed.
func hashName(name string, seed int64) uint16 {
	h := fnv.New32a()
	_, _ = h.Write(strconv.AppendInt([]byte(name), seed, 10))
	return uint16(h.Sum32() >> 16)
}
