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

// failureCounter counts failed calls so that no counter ever decreases. A network keeps its
// counter from its first failure until it is gone; failures of networks without a counter are
// added to the common one permanently.
type failureCounter struct {
	isWatched bool
	history   socket.FailureHistory
	total     uint64
	other     uint64
	byNetwork map[socket.NetworkID]uint64
}

// addSample counts the failures since the previous sample.
func (f *failureCounter) addSample(s *socket.Sample, ids networkIdentities) {
	if f.isWatched = s.Failures != nil; !f.isWatched {
		return
	}
	live := make(map[socket.NetworkID]bool, len(s.Networks))
	for i := range s.Networks {
		live[s.Networks[i].ID()] = !ids[i].isOmitted
	}
	maps.DeleteFunc(f.byNetwork, func(id socket.NetworkID, _ uint64) bool { return !live[id] })
	failed := map[socket.NetworkID]uint64{}
	for _, failure := range f.history.CountNew(s.Failures) {
		failed[failure.Network()] += failure.Count
	}
	for _, id := range slices.SortedFunc(maps.Keys(failed), func(a, b socket.NetworkID) int {
		return cmp.Or(cmp.Compare(failed[b], failed[a]), cmp.Compare(a.Inode, b.Inode)) // most failures first
	}) {
		f.addFailures(id, live[id], failed[id])
	}
}

func (f *failureCounter) addFailures(id socket.NetworkID, live bool, count uint64) {
	f.total += count
	if _, ok := f.byNetwork[id]; !ok && (!live || len(f.byNetwork) == maxFailingNetworks) {
		f.other += count
		return
	}
	if f.byNetwork == nil {
		f.byNetwork = map[socket.NetworkID]uint64{}
	}
	f.byNetwork[id] += count
}

// listMetrics returns the metrics. The networks have the same names as in the sample.
func (f *failureCounter) listMetrics(s *socket.Sample, ids networkIdentities) []prometheus.Metric {
	if !f.isWatched {
		return nil
	}
	var l metricList
	l.add(failedConnects.newMetric(float64(f.total)), networkFailedConnects.newMetric(float64(f.other), "", "", "other"))
	for i := range s.Networks {
		if count, ok := f.byNetwork[s.Networks[i].ID()]; ok {
			l.add(networkFailedConnects.newMetric(float64(count), ids[i].labelValues()...))
		}
	}
	return l
}
