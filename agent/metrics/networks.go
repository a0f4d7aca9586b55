package metrics

import (
	"cmp"
	"slices"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
)

// networkIdentity is the labels of a network.
type networkIdentity struct{ namespace, pod, network string }

func (o networkIdentity) labelValues() []string { return []string{o.namespace, o.pod, o.network} }

// networkIdentities are the labels of a sample's networks, in its order.
type networkIdentities []networkIdentity

func newNetworkIdentities(s *socket.Sample) networkIdentities {
	name := assess.NameNetworks(s.Networks)
	list := make(networkIdentities, len(s.Networks))
	for i := range s.Networks {
		n := &s.Networks[i]
		list[i] = networkIdentity{n.Owner.Namespace, n.Owner.Pod, name(n)}
	}
	return list
}

// findNetwork is the owner of that name.
func (l networkIdentities) findNetwork(network string) networkIdentity {
	for _, o := range l {
		if o.network == network {
			return o
		}
	}
	return networkIdentity{network: network}
}

// maxNetworks is how many networks past the line have a series: all the pods
// that a node is made for, twice over.
const maxNetworks = 250

// addNetworks are the networks past the warning line, or the worst of them.
func (l *metricList) addNetworks(s *socket.Sample, t socket.Thresholds, of networkIdentities) {
	type used struct {
		ratio float64
		at    int
	}
	var past []used
	for i := range s.Networks {
		if p, ok := findTightestPool(&s.Networks[i]); ok && p.UsedPercent() >= t.Warning {
			past = append(past, used{computeRatio(p.MaxUsed(), p.Capacity), i})
		}
	}
	slices.SortFunc(past, func(a, b used) int { return cmp.Or(cmp.Compare(b.ratio, a.ratio), cmp.Compare(a.at, b.at)) })
	for _, u := range past[:min(maxNetworks, len(past))] {
		l.add(networkUsed.newMetric(u.ratio, of[u.at].labelValues()...))
	}
}

// findTightestPool is the tightest pool of n; false where it has none.
func findTightestPool(n *socket.Network) (socket.Pool, bool) {
	pools := socket.SelectTightest(n.Pools(), 1)
	if len(pools) == 0 {
		return socket.Pool{}, false
	}
	return pools[0], true
}
