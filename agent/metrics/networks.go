package metrics

import (
	"cmp"
	"slices"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// owner is the labels of a network.
type owner struct{ namespace, pod, network string }

func (o owner) labels() []string { return []string{o.namespace, o.pod, o.network} }

// owners are the labels of a sample's networks, in its order.
type owners []owner

func newOwners(s *socket.Sample) owners {
	name := assess.Names(s.Networks)
	list := make(owners, len(s.Networks))
	for i := range s.Networks {
		n := &s.Networks[i]
		list[i] = owner{n.Owner.Namespace, n.Owner.Pod, name(n)}
	}
	return list
}

// named is the owner of that name.
func (l owners) named(network string) owner {
	for _, o := range l {
		if o.network == network {
			return o
		}
	}
	return owner{network: network}
}

// maxNetworks is how many networks past the line have a series: all the pods
// that a node is made for, twice over.
const maxNetworks = 250

// networks are the networks past the warning line, or the worst of them.
func (l *list) networks(s *socket.Sample, t v1alpha1.Thresholds, of owners) {
	type used struct {
		ratio float64
		at    int
	}
	var past []used
	for i := range s.Networks {
		if p, ok := worst(&s.Networks[i]); ok && p.UsedPercent() >= int(t.WarningPercent) {
			past = append(past, used{ratio(p.Most(), p.Capacity), i})
		}
	}
	slices.SortFunc(past, func(a, b used) int { return cmp.Or(cmp.Compare(b.ratio, a.ratio), cmp.Compare(a.at, b.at)) })
	for _, u := range past[:min(maxNetworks, len(past))] {
		l.add(networkUsed.metric(u.ratio, of[u.at].labels()...))
	}
}

// worst is the tightest pool of n; false where it has none.
func worst(n *socket.Network) (socket.Pool, bool) {
	pools := socket.Worst(n.Pools(), 1)
	if len(pools) == 0 {
		return socket.Pool{}, false
	}
	return pools[0], true
}
