package metrics

import (
	"cmp"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"portreeve.io/portreeve/agent/socket"
)

// maxFailing is how many networks have a counter of failed connects of their own.
const maxFailing = 8

// failures counts failed connects so that no counter ever falls: a network keeps
// its own from its first failure until it is gone, and what finds no room goes to
// the rest for good.
type failures struct {
	watched bool
	seen    map[uint64]uint64 // the sample's counts by inode
	total   uint64
	rest    uint64
	own     map[uint64]*failing // by inode
}

// failing is a network with a counter of its own. The cookie tells it from one
// that got its inode later.
type failing struct{ cookie, count uint64 }

// count takes what has failed since the sample before.
func (f *failures) count(s *socket.Sample) {
	if f.watched = s.Failures != nil; !f.watched {
		return
	}
	live := make(map[uint64]uint64, len(s.Networks)) // cookie by inode
	for i := range s.Networks {
		live[s.Networks[i].Inode] = s.Networks[i].Cookie
	}
	maps.DeleteFunc(f.own, func(inode uint64, of *failing) bool {
		cookie, ok := live[inode]
		return !ok || cookie != of.cookie
	})
	fresh := f.fresh(s)
	for _, inode := range slices.SortedFunc(maps.Keys(fresh), func(a, b uint64) int {
		return cmp.Or(cmp.Compare(fresh[b], fresh[a]), cmp.Compare(a, b)) // most failures first
	}) {
		cookie, ok := live[inode]
		f.add(inode, cookie, ok, fresh[inode])
	}
}

func (f *failures) add(inode, cookie uint64, live bool, count uint64) {
	f.total += count
	if f.own[inode] == nil && live && len(f.own) < maxFailing {
		if f.own == nil {
			f.own = map[uint64]*failing{}
		}
		f.own[inode] = &failing{cookie: cookie}
	}
	if own := f.own[inode]; own != nil {
		own.count += count
		return
	}
	f.rest += count
}

// fresh is what failed since the last sample, by inode.
func (f *failures) fresh(s *socket.Sample) map[uint64]uint64 {
	now := map[uint64]uint64{}
	for i := range s.Failures {
		now[s.Failures[i].Inode] += s.Failures[i].Count
	}
	fresh := map[uint64]uint64{}
	for inode, count := range now {
		before := f.seen[inode]
		if count < before { // the reader began anew
			before = 0
		}
		if count > before {
			fresh[inode] = count - before
		}
	}
	f.seen = now
	return fresh
}

// metrics names the networks as the sample does.
func (f *failures) metrics(s *socket.Sample, of owners) []prometheus.Metric {
	if !f.watched {
		return nil
	}
	var l list
	l.add(failedConnects.metric(float64(f.total)), networkFailedConnects.metric(float64(f.rest), "", "", "other"))
	for i := range s.Networks {
		if own := f.own[s.Networks[i].Inode]; own != nil {
			l.add(networkFailedConnects.metric(float64(own.count), of[i].labels()...))
		}
	}
	return l
}
