package metrics

import (
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"portreeve.io/portreeve/agent/socket"
)

// agentMetrics has the counters about the agent.
type agentMetrics struct {
	samples   uint64
	cpu, took time.Duration
	tick      Tick
	writes    map[string]uint64 // every result, zero included
}

// otherResult counts the results without a series of their own.
const otherResult = "error"

func newAgentMetrics() agentMetrics {
	return agentMetrics{writes: map[string]uint64{"ok": 0, "not_found": 0, "forbidden": 0, "throttled": 0, otherResult: 0}}
}

func (o *agentMetrics) recordSample(s *socket.Sample, t Tick) {
	o.samples++
	o.cpu += s.CPUTime
	o.took += t.Took
	o.tick = t
}

func (o *agentMetrics) recordWrite(result string) {
	if _, ok := o.writes[result]; !ok {
		result = otherResult
	}
	o.writes[result]++
}

func (o *agentMetrics) listMetrics() []prometheus.Metric {
	var l metricList
	l.add(
		sampleCPU.newMetric(o.cpu.Seconds()),
		prometheus.MustNewConstSummary(sampleDuration.desc, o.samples, o.took.Seconds(), nil),
	)
	for _, result := range slices.Sorted(maps.Keys(o.writes)) {
		l.add(statusWrites.newMetric(float64(o.writes[result]), result))
	}
	if o.samples > 0 {
		l.add(tickSeconds.newMetric(o.tick.Interval.Seconds()), tickStretched.newFlag(o.tick.Stretched))
	}
	return l
}

func readGoVersion() string { return runtime.Version() }
