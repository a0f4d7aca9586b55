package metrics

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
)

// failureStep describes a sample by its networks and their failures since the reader was
// opened.
type failureStep struct {
	networks []socket.NetworkID
	counts   failuresByNetwork
}

type failuresByNetwork = map[socket.NetworkID]uint64

func (s failureStep) newSample() *socket.Sample {
	out := &socket.Sample{Failures: []socket.Failure{}}
	for _, id := range s.networks {
		out.Networks = append(out.Networks, socket.Network{Inode: id.Inode, Cookie: id.Cookie})
	}
	for id, count := range s.counts { // split over two destinations
		f := socket.Failure{Inode: id.Inode, Cookie: id.Cookie, Count: count / 2}
		out.Failures = append(out.Failures, f)
		f.Port, f.Count = 1, count-count/2
		out.Failures = append(out.Failures, f)
	}
	return out
}

type failureCounts struct {
	Total, Rest uint64
	Own         failuresByNetwork
}

func (f *failureCounter) readCounts() failureCounts {
	c := failureCounts{f.total, f.other, maps.Clone(f.byNetwork)}
	if c.Own == nil {
		c.Own = failuresByNetwork{}
	}
	return c
}

func TestFailures(t *testing.T) {
	one, two, later := socket.NetworkID{Inode: 1, Cookie: 1}, socket.NetworkID{Inode: 2, Cookie: 2}, socket.NetworkID{Inode: 1, Cookie: 3}
	type ids = []socket.NetworkID
	var crowd ids
	failures, most := failuresByNetwork{}, failuresByNetwork{}
	for i := range uint64(12) {
		id := socket.NetworkID{Inode: i, Cookie: i}
		crowd, failures[id] = append(crowd, id), 100+i
		if i >= 4 {
			most[id] = 100 + i
		}
	}
	tests := map[string]struct {
		steps []failureStep
		want  failureCounts
	}{
		"The counter of a network increases": {
			[]failureStep{{ids{one}, failuresByNetwork{one: 5}}, {ids{one}, failuresByNetwork{one: 9}}},
			failureCounts{9, 0, failuresByNetwork{one: 9}},
		},
		"The counter of a removed network is removed, and the total stays": {
			[]failureStep{{ids{one, two}, failuresByNetwork{one: 5, two: 6}}, {ids{two}, failuresByNetwork{one: 5, two: 6}}},
			failureCounts{11, 0, failuresByNetwork{two: 6}},
		},
		"A network removed before its first sample counts as other": {
			[]failureStep{{ids{one}, failuresByNetwork{one: 5, two: 3}}},
			failureCounts{8, 3, failuresByNetwork{one: 5}},
		},
		"A later network with the same inode starts at 0": {
			[]failureStep{{ids{one}, failuresByNetwork{one: 5}}, {ids{later}, failuresByNetwork{one: 5, later: 2}}},
			failureCounts{7, 0, failuresByNetwork{later: 2}},
		},
		"The eight with most failures have counters": {
			[]failureStep{{crowd, failures}},
			failureCounts{1266, 406, most},
		},
		"A restarted reader adds to the total": {
			[]failureStep{{ids{one}, failuresByNetwork{one: 5}}, {ids{one}, failuresByNetwork{one: 2}}},
			failureCounts{7, 0, failuresByNetwork{one: 7}},
		},
		"Failures that are omitted and begin again add to the total": {
			[]failureStep{{ids{one, two}, failuresByNetwork{one: 5, two: 5}}, {ids{one, two}, failuresByNetwork{two: 6}}, {ids{one, two}, failuresByNetwork{one: 2, two: 6}}},
			failureCounts{13, 0, failuresByNetwork{one: 7, two: 6}},
		},
		"Without failures there is no counter": {
			[]failureStep{{ids{one}, failuresByNetwork{one: 0}}},
			failureCounts{0, 0, failuresByNetwork{}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var f failureCounter
			for _, s := range test.steps {
				f.addNamed(s.newSample())
			}
			if diff := cmp.Diff(test.want, f.readCounts()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFailuresThatAreNotObservedAreAbsent(t *testing.T) {
	var f failureCounter
	one := socket.NetworkID{Inode: 1, Cookie: 1}
	f.addNamed(failureStep{[]socket.NetworkID{one}, failuresByNetwork{one: 5}}.newSample())
	f.addNamed(&socket.Sample{})
	if got := f.listMetrics(&socket.Sample{}, nil); got != nil {
		t.Errorf("%v", got)
	}
	f.addNamed(failureStep{[]socket.NetworkID{one}, failuresByNetwork{one: 6}}.newSample())
	if f.total != 6 {
		t.Errorf("%d in total", f.total)
	}
}

// In any history no counter decreases while its network exists, the total is the number of
// failures, and there are never more than eight counters.
func TestNoCounterDecreases(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var f failureCounter
	networks, counts := map[uint64]socket.NetworkID{}, failuresByNetwork{}
	var failed uint64
	for round := range 2000 {
		for range 3 {
			inode := random.Uint64N(40)
			switch random.IntN(3) {
			case 0:
				networks[inode] = socket.NetworkID{Inode: inode, Cookie: uint64(round)}
			case 1:
				delete(networks, inode)
			}
			more := random.Uint64N(4)
			counts[networks[inode]] += more
			failed += more
		}
		before := f.readCounts()
		f.addNamed(failureStep{slices.Collect(maps.Values(networks)), counts}.newSample())
		after := f.readCounts()
		if after.Total != failed || after.Rest < before.Rest || len(after.Own) > maxFailingNetworks {
			t.Fatalf("round %d: %d failed, %+v then %+v", round, failed, before, after)
		}
		for id, count := range after.Own {
			if count < before.Own[id] || networks[id.Inode] != id {
				t.Fatalf("round %d: %v had %d, has %d, the network is %v", round, id, before.Own[id], count, networks[id.Inode])
			}
		}
	}
}

// addNamed adds a sample whose networks all have names.
func (f *failureCounter) addNamed(s *socket.Sample) {
	f.addSample(s, make(networkIdentities, len(s.Networks)))
}
