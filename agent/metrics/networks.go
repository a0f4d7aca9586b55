package metrics

import (
	"cmp"
	"slices"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// networkIdentity has the values of a network's labels.
type networkIdentity struct {
	namespace, pod, network string
	// isPod is true for a pod's network. Kubernetes limits how many there are.
	isPod bool
	// isOmitted is true for a network that gets no series of its own.
	isOmitted bool
}

func (o networkIdentity) labelValues() []string { return []string{o.namespace, o.pod, o.network} }

// networkIdentities has the identities of a sample's networks, in its order.
type networkIdentities []networkIdentity

// newNetworkIdentities names the networks of a sample. Of those that could get a series and
// are not pods', some are omitted if others took the place of their names in budget.
func newNetworkIdentities(s *socket.Sample, status *v1alpha1.PortPressureStatus, t v1alpha1.Thresholds, budget *labelBudget) networkIdentities {
	name := assess.NameNetworks(s.Networks)
	listed := listedNetworks(s, status)
	list := make(networkIdentities, len(s.Networks))
	for i := range s.Networks {
		n := &s.Networks[i]
		o := networkIdentity{namespace: n.Owner.Namespace, pod: n.Owner.Pod, network: name(n),
			isPod: n.Owner.Kind == socket.OwnerPod}
		isListed := listed.names[o.network] || listed.failing[n.ID()] || isAbove(n, t)
		o.isOmitted = !o.isPod && n.Owner.Kind != socket.OwnerHost && isListed && !budget.admit(o.network, s.Taken)
		list[i] = o
	}
	return list
}

// listed has the networks that a status or its failures mention.
type listed struct {
	names   map[string]bool
	failing map[socket.NetworkID]bool
}

func listedNetworks(s *socket.Sample, status *v1alpha1.PortPressureStatus) listed {
	l := listed{map[string]bool{}, map[socket.NetworkID]bool{}}
	if p := status.Tightest; p != nil {
		l.names[p.Network] = true
	}
	for i := range status.Networks {
		l.names[status.Networks[i].Network] = true
	}
	for i := range s.Failures {
		l.failing[s.Failures[i].Network()] = true
	}
	return l
}

func isAbove(n *socket.Network, t v1alpha1.Thresholds) bool {
	p, ok := findTightestPool(n)
	return ok && p.UsedPercent() >= int(t.WarningPercent)
}

// findNetwork returns the identity of the network of that name.
func (l networkIdentities) findNetwork(network string) networkIdentity {
	for _, o := range l {
		if o.network == network {
			return o
		}
	}
	return networkIdentity{network: network}
}

// maxNetworks is the maximum number of networks with a series: twice the number of pods for
// which a node is designed.
const maxNetworks = 250

// addNetworks adds the networks above the warning threshold, or the tightest of them.
func (l *metricList) addNetworks(s *socket.Sample, t v1alpha1.Thresholds, ids networkIdentities) {
	type used struct {
		ratio float64
		index int
	}
	var above []used
	for i := range s.Networks {
		if p, ok := findTightestPool(&s.Networks[i]); ok && !ids[i].isOmitted && p.UsedPercent() >= int(t.WarningPercent) {
			above = append(above, used{computeRatio(p.MaxUsed(), p.Capacity), i})
		}
	}
	slices.SortFunc(above, func(a, b used) int { return cmp.Or(cmp.Compare(b.ratio, a.ratio), cmp.Compare(a.index, b.index)) })
	for _, u := range above[:min(maxNetworks, len(above))] {
		l.add(networkUsed.newMetric(u.ratio, ids[u.index].labelValues()...))
	}
}

// findTightestPool returns the tightest pool of n; false if it has none.
func findTightestPool(n *socket.Network) (socket.Pool, bool) {
	pools := socket.SelectTightest(n.Pools(), 1)
	if len(pools) == 0 {
		return socket.Pool{}, false
	}
	return pools[0], true
}
