package metrics

import (
	"cmp"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"portreeve.io/portreeve/agent/socket"
)

// maxFailingNetworks is how many networks have a counter of failed connects of their own.
const maxFailingNetworks = 8

// failureCounter counts failed connects so that no counter ever falls: a network keeps
// its own from its first failure until it is gone, and what finds no room goes to
// the rest for good.
type failureCounter struct {
	isWatched bool
	lastCounts    map[uint64]uint64 // the sample's counts by inode
	total   uint64
	other    uint64
	byNetwork     map[uint64]*networkFailures // by inode
}

// networkFailures is a network with a counter of its own. The cookie tells it from one
// that got its inode later.
type networkFailures struct{ cookie, count uint64 }

// addSample takes what has failed since the sample before.
func (f *failureCounter) addSample(s *socket.Sample) {
	if f.isWatched = s.Failures != nil; !f.isWatched {
		return
	}
	live := make(map[uint64]uint64, len(s.Networks)) // cookie by inode
	for i := range s.Networks {
		live[s.Networks[i].Inode] = s.Networks[i].Cookie
	}
	maps.DeleteFunc(f.byNetwork, func(inode uint64, of *networkFailures) bool {
		cookie, ok := live[inode]
		return !ok || cookie != of.cookie
	})
	fresh := f.countNew(s)
	for _, inode := range slices.SortedFunc(maps.Keys(fresh), func(a, b uint64) int {
		return cmp.Or(cmp.Compare(fresh[b], fresh[a]), cmp.Compare(a, b)) // most failures first
	}) {
		cookie, ok := live[inode]
		f.addFailures(inode, cookie, ok, fresh[inode])
	}
}

func (f *failureCounter) addFailures(inode, cookie uint64, live bool, count uint64) {
	f.total += count
	if f.byNetwork[inode] == nil && live && len(f.byNetwork) < maxFailingNetworks {
		if f.byNetwork == nil {
			f.byNetwork = map[uint64]*networkFailures{}
		}
		f.byNetwork[inode] = &networkFailures{cookie: cookie}
	}
	if own := f.byNetwork[inode]; own != nil {
		own.count += count
		return
	}
	f.other += count
}

// countNew is what failed since the last sample, by inode.
func (f *failureCounter) countNew(s *socket.Sample) map[uint64]uint64 {
	now := map[uint64]uint64{}
	for i := range s.Failures {
		now[s.Failures[i].Inode] += s.Failures[i].Count
	}
	fresh := map[uint64]uint64{}
	for inode, count := range now {
		before := f.lastCounts[inode]
		if count < before { // the reader began anew
			before = 0
		}
		if count > before {
			fresh[inode] = count - before
		}
	}
	f.lastCounts = now
	return fresh
}

// listMetrics names the networks as the sample does.
func (f *failureCounter) listMetrics(s *socket.Sample, of networkIdentities) []prometheus.Metric {
	if !f.isWatched {
		return nil
	}
	var l metricList
	l.add(failedConnects.newMetric(float64(f.total)), networkFailedConnects.newMetric(float64(f.other), "", "", "other"))
	for i := range s.Networks {
		if own := f.byNetwork[s.Networks[i].Inode]; own != nil {
			l.add(networkFailedConnects.newMetric(float64(own.count), of[i].labelValues()...))
		}
	}
	return l
}
