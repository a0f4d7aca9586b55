package podevents

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"portreeve.io/portreeve/agent/socket"
)

// observation is how a sample shows one pod.
type observation struct {
	pod      Pod
	tightest socket.Pool
	failed   failedCalls
}

// observePods is the pods of sample that have a name, those first whose calls fail, then
// those with the tightest pools.
func observePods(sample *socket.Sample, fails map[uint64]failedCalls) []observation {
	var sights []observation
	at := map[string]int{}
	for i := range sample.Networks {
		n := &sample.Networks[i]
		pool, ok := findTightest(n)
		if o := &n.Owner; !ok || o.Kind != socket.OwnerPod || o.PodUID == "" || o.Namespace == "" || o.Pod == "" {
			continue
		}
		s := observation{Pod{n.Owner.Namespace, n.Owner.Pod, n.Owner.PodUID}, pool, fails[n.Inode]}
		if j, ok := at[s.pod.UID]; ok { // a pod can have two networks
			sights[j] = sights[j].mergeWith(s)
			continue
		}
		at[s.pod.UID] = len(sights)
		sights = append(sights, s)
	}
	slices.SortFunc(sights, func(a, b observation) int {
		return cmp.Or(cmp.Compare(b.failed.count, a.failed.count), socket.Compare(a.tightest, b.tightest))
	})
	return sights
}

// findTightest is the tightest pool of n. It is never advisory: each network has one that
// is not.
func findTightest(n *socket.Network) (pool socket.Pool, ok bool) {
	for p := range n.Pools() {
		if !ok || socket.Compare(p, pool) < 0 {
			pool, ok = p, true
		}
	}
	return pool, ok
}

// mergeWith is the worse of two networks of a pod.
func (s observation) mergeWith(o observation) observation {
	if socket.Compare(o.tightest, s.tightest) < 0 {
		s.tightest = o.tightest
	}
	if o.failed.count > s.failed.count {
		s.failed = o.failed
	}
	return s
}

// failedCalls is calls in a network that found no port since the sample before, and where
// most of them were to go, or what the event log calls most of them.
type failedCalls struct {
	count, mostFrequent uint64
	to          netip.AddrPort
	reason      string
}

// failureCounts is the counts of the sample before, by everything else of a failure.
type failureCounts map[socket.Failure]uint64

// countNew is what failed since then, by the network's inode.
func (f *failureCounts) countNew(now []socket.Failure) map[uint64]failedCalls {
	before := *f
	*f = make(failureCounts, len(now))
	rise := map[uint64]failedCalls{}
	for _, failure := range now {
		count := failure.Count
		failure.Count, failure.LastAt = 0, time.Time{}
		(*f)[failure] = count
		if was := before[failure]; was <= count { // else the reader began anew
			count -= was
		}
		if count == 0 {
			continue
		}
		r := rise[failure.Inode]
		r.count += count
		if count > r.mostFrequent {
			r.mostFrequent, r.to, r.reason = count, netip.AddrPortFrom(failure.Destination, failure.Port), failure.Reason
		}
		rise[failure.Inode] = r
	}
	return rise
}
