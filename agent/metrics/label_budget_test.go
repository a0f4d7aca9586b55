package metrics

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// Processes outside of pods choose new names and destinations at each sample, for a day.
func TestSeriesOverTimeAreBounded(t *testing.T) {
	m := New("dev")
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	series := map[string]bool{}
	for i := range 4000 {
		s := newHostileSample(i, now.Add(time.Duration(i)*20*time.Second))
		status := v1alpha1.PortPressureStatus{Level: v1alpha1.LevelCritical}
		for n := range s.Networks {
			network := assess.NameNetworks(s.Networks)(&s.Networks[n])
			p := v1alpha1.Pool{Network: network, Used: 100, Capacity: 100, Destination: fmt.Sprint("10.0.0.", i), Port: int32(i)}
			status.Networks = append(status.Networks, v1alpha1.Network{Network: network, Cause: "TimeWaitChurn", Pools: []v1alpha1.Pool{p}})
			status.Tightest = &p
		}
		m.RecordSample(s, &status, Tick{})
		maps.Copy(series, gatherNetworkSeries(t, m))
	}
	if n := len(series); n < 20 || n > 3*maxOtherPools+10*maxOtherNetworks {
		t.Errorf("%d different series in a day", n)
	}
}

func newHostileSample(i int, at time.Time) *socket.Sample {
	s := &socket.Sample{Taken: at, Reader: socket.Reader{Name: "fake", Exactness: socket.Exact}, Failures: []socket.Failure{}}
	for n := range 3 {
		inode := uint64(1 + 3*i + n)
		s.Networks = append(s.Networks, socket.Network{
			Inode: inode, Owner: socket.Owner{Kind: socket.OwnerProcess, Process: fmt.Sprint("evil", inode)}, Detailed: true,
			Settings: socket.Settings{Range: ports.Range{First: 40000, Last: 40099}},
			Destinations: []socket.Destination{{Source: netip.MustParseAddr("10.0.0.4"), Address: netip.MustParseAddr("10.0.0.9"), Port: 443,
				States: tcpstate.Counts{tcpstate.Established: 90}}},
		})
		s.Failures = append(s.Failures, socket.Failure{Inode: inode, Count: 1, Reason: "EADDRNOTAVAIL"})
	}
	return s
}

func gatherNetworkSeries(t *testing.T, m *Metrics) map[string]bool {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]bool{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			if labels := fmt.Sprint(metric.GetLabel()); strings.Contains(labels, "evil") {
				series[f.GetName()+labels] = true
			}
		}
	}
	return series
}

func TestAnAdmittedLabelIsKeptForADay(t *testing.T) {
	b := newLabelBudget(1)
	start := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		value string
		after time.Duration
		want  bool
	}{{"a", 0, true}, {"b", 0, false}, {"a", keepLabels, true}, {"b", keepLabels, false}, {"b", 2*keepLabels + 1, true}, {"a", 2*keepLabels + 1, false}} {
		if got := b.admit(step.value, start.Add(step.after)); got != step.want {
			t.Errorf("%s after %v: %v", step.value, step.after, got)
		}
	}
}
