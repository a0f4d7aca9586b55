package metrics

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
)

// failureStep describes a sample by its networks and their failures since the reader was
// opened.
type failureStep struct {
	networks map[uint64]uint64 // cookie by inode
	counts   map[uint64]uint64
}

func (s failureStep) newSample() *socket.Sample {
	out := &socket.Sample{Failures: []socket.Failure{}}
	for inode, cookie := range s.networks {
		out.Networks = append(out.Networks, socket.Network{Inode: inode, Cookie: cookie})
	}
	for inode, count := range s.counts { // split over two destinations
		out.Failures = append(out.Failures, socket.Failure{Inode: inode, Count: count / 2}, socket.Failure{Inode: inode, Port: 1, Count: count - count/2})
	}
	return out
}

type failureCounts struct {
	Total, Rest uint64
	Own         map[uint64]uint64
}

func (f *failureCounter) readCounts() failureCounts {
	c := failureCounts{f.total, f.other, map[uint64]uint64{}}
	for inode, own := range f.byNetwork {
		c.Own[inode] = own.count
	}
	return c
}

type ids = map[uint64]uint64

func TestFailures(t *testing.T) {
	crowd := ids{}
	for i := range uint64(12) {
		crowd[i] = 100 + i
	}
	tests := map[string]struct {
		steps []failureStep
		want  failureCounts
	}{
		"The counter of a network increases": {
			[]failureStep{{ids{1: 1}, ids{1: 5}}, {ids{1: 1}, ids{1: 9}}},
			failureCounts{9, 0, ids{1: 9}},
		},
		"The counter of a removed network is removed, and the total stays": {
			[]failureStep{{ids{1: 1, 2: 2}, ids{1: 5, 2: 6}}, {ids{2: 2}, ids{1: 5, 2: 6}}},
			failureCounts{11, 0, ids{2: 6}},
		},
		"A network removed before its first sample counts as other": {
			[]failureStep{{ids{1: 1}, ids{1: 5, 9: 3}}},
			failureCounts{8, 3, ids{1: 5}},
		},
		"A later network with the same inode starts at 0": {
			[]failureStep{{ids{1: 1}, ids{1: 5}}, {ids{1: 2}, ids{1: 7}}},
			failureCounts{7, 0, ids{1: 2}},
		},
		"The eight with most failures have counters": {
			[]failureStep{{crowd, crowd}},
			failureCounts{1266, 406, ids{4: 104, 5: 105, 6: 106, 7: 107, 8: 108, 9: 109, 10: 110, 11: 111}},
		},
		"A restarted reader adds to the total": {
			[]failureStep{{ids{1: 1}, ids{1: 5}}, {ids{1: 1}, ids{1: 2}}},
			failureCounts{7, 0, ids{1: 7}},
		},
		"Without failures there is no counter": {
			[]failureStep{{ids{1: 1}, ids{1: 0}}},
			failureCounts{0, 0, ids{}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var f failureCounter
			for _, s := range test.steps {
				f.addSample(s.newSample())
			}
			if diff := cmp.Diff(test.want, f.readCounts()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFailuresThatAreNotObservedAreAbsent(t *testing.T) {
	var f failureCounter
	f.addSample(failureStep{ids{1: 1}, ids{1: 5}}.newSample())
	f.addSample(&socket.Sample{})
	if got := f.listMetrics(&socket.Sample{}, nil); got != nil {
		t.Errorf("%v", got)
	}
	f.addSample(failureStep{ids{1: 1}, ids{1: 6}}.newSample())
	if f.total != 6 {
		t.Errorf("%d in total", f.total)
	}
}

// In any history no counter decreases while its network exists, the total is the number of
// failures, and there are never more than eight counters.
func TestNoCounterDecreases(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var f failureCounter
	now := failureStep{ids{}, ids{}}
	var failed uint64
	for round := range 2000 {
		for range 3 {
			inode := random.Uint64N(40)
			switch random.IntN(3) {
			case 0:
				now.networks[inode] = uint64(round)
			case 1:
				delete(now.networks, inode)
			}
			more := random.Uint64N(4)
			now.counts[inode] += more
			failed += more
		}
		cookies, before := map[uint64]uint64{}, f.readCounts()
		for inode, own := range f.byNetwork {
			cookies[inode] = own.cookie
		}
		f.addSample(failureStep{maps.Clone(now.networks), now.counts}.newSample())
		after := f.readCounts()
		if after.Total != failed || after.Rest < before.Rest || len(after.Own) > maxFailingNetworks {
			t.Fatalf("round %d: %d failed, %+v then %+v", round, failed, before, after)
		}
		for inode, own := range f.byNetwork {
			if cookies[inode] == own.cookie && own.count < before.Own[inode] {
				t.Fatalf("round %d: %s", round, fmt.Sprint(inode, " decreased from ", before.Own[inode], " to ", own.count))
			}
			if now.networks[inode] != own.cookie {
				t.Fatalf("round %d: the network %d does not exist", round, inode)
			}
		}
	}
}
