package metrics

import (
	"cmp"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"portreeve.io/portreeve/agent/socket"
)

// maxFailingNetworks is the maximum number of networks with a counter of their own.
const maxFailingNetworks = 8

// failureCounter counts failed connects so that no counter ever decreases. A network keeps its
// counter from its first failure until it is gone; failures of networks without a counter are
// added to the common one permanently.
type failureCounter struct {
	isWatched  bool
	lastCounts map[uint64]uint64 // the sample's counts by inode
	total      uint64
	other      uint64
	byNetwork  map[uint64]*networkFailures // by inode
}

// networkFailures is the counter of one network. The cookie distinguishes it from a later
// network with the same inode.
type networkFailures struct{ cookie, count uint64 }

// addSample counts the failures since the previous sample.
func (f *failureCounter) addSample(s *socket.Sample) {
	if f.isWatched = s.Failures != nil; !f.isWatched {
		return
	}
	live := make(map[uint64]uint64, len(s.Networks)) // cookie by inode
	for i := range s.Networks {
		live[s.Networks[i].Inode] = s.Networks[i].Cookie
	}
	maps.DeleteFunc(f.byNetwork, func(inode uint64, n *networkFailures) bool {
		cookie, ok := live[inode]
		return !ok || cookie != n.cookie
	})
	newCounts := f.countNew(s)
	for _, inode := range slices.SortedFunc(maps.Keys(newCounts), func(a, b uint64) int {
		return cmp.Or(cmp.Compare(newCounts[b], newCounts[a]), cmp.Compare(a, b)) // most failures first
	}) {
		cookie, ok := live[inode]
		f.addFailures(inode, cookie, ok, newCounts[inode])
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
	if counter := f.byNetwork[inode]; counter != nil {
		counter.count += count
		return
	}
	f.other += count
}

// countNew returns the failures since the last sample, by inode.
func (f *failureCounter) countNew(s *socket.Sample) map[uint64]uint64 {
	now := map[uint64]uint64{}
	for i := range s.Failures {
		now[s.Failures[i].Inode] += s.Failures[i].Count
	}
	newCounts := map[uint64]uint64{}
	for inode, count := range now {
		before := f.lastCounts[inode]
		if count < before { // the reader was restarted
			before = 0
		}
		if count > before {
			newCounts[inode] = count - before
		}
	}
	f.lastCounts = now
	return newCounts
}

// listMetrics returns the metrics. The networks have the same names as in the sample.
func (f *failureCounter) listMetrics(s *socket.Sample, ids networkIdentities) []prometheus.Metric {
	if !f.isWatched {
		return nil
	}
	var l metricList
	l.add(failedConnects.newMetric(float64(f.total)), networkFailedConnects.newMetric(float64(f.other), "", "", "other"))
	for i := range s.Networks {
		if counter := f.byNetwork[s.Networks[i].Inode]; counter != nil {
			l.add(networkFailedConnects.newMetric(float64(counter.count), ids[i].labelValues()...))
		}
	}
	return l
}
