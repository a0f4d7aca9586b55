package metrics

import (
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"portreeve.io/portreeve/agent/socket"
)

// own is how the agent fares.
type own struct {
	samples   uint64
	cpu, took time.Duration
	tick      Tick
	writes    map[string]uint64 // every result, zero included
}

// otherResult is where results go that have no series.
const otherResult = "error"

func newOwn() own {
	return own{writes: map[string]uint64{"ok": 0, "not_found": 0, "forbidden": 0, "throttled": 0, otherResult: 0}}
}

func (o *own) sampled(s *socket.Sample, t Tick) {
	o.samples++
	o.cpu += s.CPUTime
	o.took += t.Took
	o.tick = t
}

func (o *own) wrote(result string) {
	if _, ok := o.writes[result]; !ok {
		result = otherResult
	}
	o.writes[result]++
}

func (o *own) metrics() []prometheus.Metric {
	var l list
	l.add(
		sampleCPU.metric(o.cpu.Seconds()),
		prometheus.MustNewConstSummary(sampleDuration.desc, o.samples, o.took.Seconds(), nil),
	)
	for _, result := range slices.Sorted(maps.Keys(o.writes)) {
		l.add(statusWrites.metric(float64(o.writes[result]), result))
	}
	if o.samples > 0 {
		l.add(tickSeconds.metric(o.tick.Interval.Seconds()), tickStretched.flag(o.tick.Stretched))
	}
	return l
}

func goVersion() string { return runtime.Version() }
