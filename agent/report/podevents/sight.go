package podevents

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"portreeve.io/portreeve/agent/socket"
)

// sight is how a sample shows one pod.
type sight struct {
	pod      Pod
	tightest socket.Pool
	failed   failed
}

// look is the pods of sample that have a name, those first whose calls fail, then
// those with the tightest pools.
func look(sample *socket.Sample, fails map[uint64]failed) []sight {
	var sights []sight
	at := map[string]int{}
	for i := range sample.Networks {
		n := &sample.Networks[i]
		pool, ok := tightest(n)
		if o := &n.Owner; !ok || o.Kind != socket.OwnerPod || o.PodUID == "" || o.Namespace == "" || o.Pod == "" {
			continue
		}
		s := sight{Pod{n.Owner.Namespace, n.Owner.Pod, n.Owner.PodUID}, pool, fails[n.Inode]}
		if j, ok := at[s.pod.UID]; ok { // a pod can have two networks
			sights[j] = sights[j].and(s)
			continue
		}
		at[s.pod.UID] = len(sights)
		sights = append(sights, s)
	}
	slices.SortFunc(sights, func(a, b sight) int {
		return cmp.Or(cmp.Compare(b.failed.count, a.failed.count), socket.ComparePools(a.tightest, b.tightest))
	})
	return sights
}

// tightest is the tightest pool of n. It is never advisory: each network has one that
// is not.
func tightest(n *socket.Network) (pool socket.Pool, ok bool) {
	for p := range n.Pools() {
		if !ok || socket.ComparePools(p, pool) < 0 {
			pool, ok = p, true
		}
	}
	return pool, ok
}

// and is the worse of two networks of a pod.
func (s sight) and(o sight) sight {
	if socket.ComparePools(o.tightest, s.tightest) < 0 {
		s.tightest = o.tightest
	}
	if o.failed.count > s.failed.count {
		s.failed = o.failed
	}
	return s
}

// failed is calls in a network that found no port since the sample before, and where
// most of them were to go, or what the event log calls most of them.
type failed struct {
	count, most uint64
	to          netip.AddrPort
	reason      string
}

// failures is the counts of the sample before, by everything else of a failure.
type failures map[socket.Failure]uint64

// rise is what failed since then, by the network's inode.
func (f *failures) rise(now []socket.Failure) map[uint64]failed {
	before := *f
	*f = make(failures, len(now))
	rise := map[uint64]failed{}
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
		if count > r.most {
			r.most, r.to, r.reason = count, netip.AddrPortFrom(failure.Destination, failure.Port), failure.Reason
		}
		rise[failure.Inode] = r
	}
	return rise
}
