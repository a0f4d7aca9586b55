package assess

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/tcpstate"
)

// newLargestNode returns a node with the longest possible status: 250 pods with names of
// these lengths, all of them above the warning threshold.
func newLargestNode(namespace, pod int) (socket.Sample, Facts) {
	long := netip.MustParseAddr("2001:db8:1234:5678:9abc:def0:1234:5678")
	sample := newCrowdedNode(250, 4)
	for i := range sample.Networks {
		n := &sample.Networks[i]
		for j := range n.Destinations {
			d := &n.Destinations[j]
			d.Source, d.Address, d.Port = long, long, 65535
			for state := tcpstate.Established; state <= tcpstate.Closing; state++ {
				d.States[state] = 2300
			}
			sample.Failures = append(sample.Failures, socket.Failure{Inode: n.Inode + 1<<31, Destination: long, Port: 65535, Count: 1 << 40, LastAt: taken})
		}
		n.Inode += 1 << 31 // ten digits
		n.Owner = socket.Owner{
			Kind: socket.OwnerPod, PodUID: uid,
			Namespace: strings.Repeat("n", namespace), Pod: fmt.Sprintf("%03d%s", i, strings.Repeat("p", pod-3)),
			Container: strings.Repeat("c", 64), Process: strings.Repeat("x", 15), PID: 1 << 22,
		}
		sample.Unobserved = append(sample.Unobserved, socket.Unobserved{Item: strings.Repeat("what", 50), Reason: fmt.Sprint(i, strings.Repeat("why", 200))})
	}
	sample.Reader.Message = strings.Repeat("message ", 200)
	_, facts := newBusyNode()
	return sample, facts
}

func TestTrimToSizeKeepsTheStatusBelow6kB(t *testing.T) {
	tests := map[string]struct {
		namespace, pod           int
		networks, pools, failure int
	}{
		"Typical names":         {12, 24, 3, 3, 1},
		"The longest generated": {63, 63, 1, 1, 1},
		"The longest possible":  {63, 253, 0, 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sample, facts := newLargestNode(test.namespace, test.pod)
			status := BuildStatus(sample, facts)
			var history StatusHistory
			history.completeStatus(&status)
			if err := TrimToSize(&status); err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(status)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d bytes", len(raw))
			if len(raw) > MaxStatusBytes {
				t.Errorf("%d bytes", len(raw))
			}
			pools := 0
			for _, n := range status.Networks {
				pools += len(n.Pools)
			}
			got := []int{len(status.Networks), pools, len(status.Failures)}
			if diff := cmp.Diff([]int{test.networks, test.pools, test.failure}, got); diff != "" {
				t.Errorf("networks, pools, failures: %s", diff)
			}
			if status.Tightest == nil || status.Tightest.Holder == nil || len(status.Conditions) != 3 || status.LastPressure == nil {
				t.Errorf("%s", raw)
			}
			if last := status.Unobserved[len(status.Unobserved)-1].Item; last != "247 more items" {
				t.Errorf("the last item is %q, want the number of omitted items", last)
			}
		})
	}
}

func TestTrimToSizeDoesNotChangeASmallStatus(t *testing.T) {
	sample, facts := newBusyNode()
	status := BuildStatus(sample, facts)
	want := status.DeepCopy()
	if err := TrimToSize(&status); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, &status); diff != "" {
		t.Error(diff)
	}
}

func TestTrimToSizeFailsIfNothingIsLeftToTrim(t *testing.T) {
	status := v1alpha1.PortPressureStatus{Advice: strings.Repeat("x", MaxStatusBytes)}
	if err := TrimToSize(&status); err == nil {
		t.Error("no error")
	}
}

func BenchmarkTrimToSizeOfLargestNode(b *testing.B) {
	status := BuildStatus(newLargestNode(63, 253))
	b.ReportAllocs()
	for b.Loop() {
		s := status.DeepCopy()
		if err := TrimToSize(s); err != nil {
			b.Fatal(err)
		}
	}
}
