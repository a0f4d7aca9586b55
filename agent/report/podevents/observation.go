package podevents

import (
	"cmp"
	"net/netip"
	"slices"

	"portreeve.io/portreeve/agent/socket"
)

// observation has the parts of a sample that concern one pod.
type observation struct {
	pod      Pod
	tightest socket.Pool
	failed   failedCalls
}

// observePods returns the named pods of sample: first those whose calls fail, then those
// with the tightest pools.
func observePods(sample *socket.Sample, failed map[socket.NetworkID]failedCalls) []observation {
	var observations []observation
	index := map[string]int{}
	for i := range sample.Networks {
		n := &sample.Networks[i]
		pool, ok := findTightest(n)
		if owner := &n.Owner; !ok || owner.Kind != socket.OwnerPod || owner.PodUID == "" || owner.Namespace == "" || owner.Pod == "" {
			continue
		}
		o := observation{pod: Pod{Namespace: n.Owner.Namespace, Name: n.Owner.Pod, UID: n.Owner.PodUID}, tightest: pool, failed: failed[n.ID()]}
		if j, ok := index[o.pod.UID]; ok { // a pod can have two networks
			observations[j] = observations[j].mergeWith(o)
			continue
		}
		index[o.pod.UID] = len(observations)
		observations = append(observations, o)
	}
	slices.SortFunc(observations, func(a, b observation) int {
		return cmp.Or(cmp.Compare(b.failed.count, a.failed.count), socket.ComparePools(a.tightest, b.tightest))
	})
	return observations
}

// findTightest returns the tightest pool of n. It is never advisory, because each network
// has a pool that is not.
func findTightest(n *socket.Network) (pool socket.Pool, ok bool) {
	for p := range n.Pools() {
		if !ok || socket.ComparePools(p, pool) < 0 {
			pool, ok = p, true
		}
	}
	return pool, ok
}

// mergeWith returns the worse values of two networks of a pod.
func (o observation) mergeWith(other observation) observation {
	if socket.ComparePools(other.tightest, o.tightest) < 0 {
		o.tightest = other.tightest
	}
	if other.failed.count > o.failed.count {
		o.failed = other.failed
	}
	return o
}

// failedCalls counts the calls in a network that found no port since the previous sample.
// It has the destination of most of them, or the event log's reason for most of them.
type failedCalls struct {
	count, mostFrequent uint64
	destination         netip.AddrPort
	reason              string
}

// groupByNetwork adds up calls that failed, by network.
func groupByNetwork(failures []socket.Failure) map[socket.NetworkID]failedCalls {
	failed := map[socket.NetworkID]failedCalls{}
	for i := range failures {
		f := &failures[i]
		r := failed[f.Network()]
		r.count += f.Count
		if f.Count > r.mostFrequent {
			r.mostFrequent, r.destination, r.reason = f.Count, netip.AddrPortFrom(f.Destination, f.Port), f.Reason
		}
		failed[f.Network()] = r
	}
	return failed
}
