// Package metrics serves the agent's /metrics, with the last measurements and metrics about the
// agent, from a registry of its own.
//
// Measurements are a snapshot of constant metrics, created anew at each sample, so that removed
// pools and networks leave no series behind. Items that could not be read are absent, never 0.
// The number of series is bounded, whatever runs on the node: at most 60 at level Normal, at
// most 400 under pressure. So is the number of different ones in a day, apart from those of
// pods.
package metrics

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// Tick describes the timing of a sample.
type Tick struct {
	// Interval is the time until the next sample, Took the wall-clock time of this one.
	Interval, Took time.Duration
	// Stretched reports whether the CPU budget, not the configuration, set Interval.
	Stretched bool
	// Facts has the facts from which the status was built. The zero value means the default
	// thresholds, and no unobserved items.
	Facts assess.Facts
}

// Metrics are the agent's metrics. They are safe for concurrent use, except RecordSample, which
// must be called from one goroutine.
type Metrics struct {
	registry *prometheus.Registry
	process  func() []prometheus.Metric
	build    prometheus.Metric

	mu       sync.Mutex // for what follows
	measured []prometheus.Metric
	agent    agentMetrics
	failures failureCounter
	networks labelBudget
	pools    labelBudget
}

// New returns the metrics of an agent of that version.
func New(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewPedanticRegistry(),
		process:  newProcessReader(),
		build:    buildInfo.newMetric(1, version, readGoVersion()),
		agent:    newAgentMetrics(),
		networks: newLabelBudget(maxOtherNetworks),
		pools:    newLabelBudget(maxOtherPools),
	}
	m.registry.MustRegister(m)
	return m
}

// RecordSample records a sample and its status. It does not change or keep them.
func (m *Metrics) RecordSample(sample *socket.Sample, status *v1alpha1.PortPressureStatus, tick Tick) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := newNetworkIdentities(sample, status, tick.Facts.Thresholds.WithDefaults(), &m.networks)
	snapshot := buildSnapshot(sample, status, tick.Facts, ids, &m.pools)
	m.failures.addSample(sample, ids)
	m.measured = slices.Concat(snapshot, m.failures.listMetrics(sample, ids))
	m.agent.recordSample(sample, tick)
}

// RecordWrite counts an attempt to write the status: "ok", "not_found", "forbidden",
// "throttled", and "error" for everything else.
func (m *Metrics) RecordWrite(result string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.agent.recordWrite(result)
}

// maxScrapes is the maximum number of concurrent scrapes.
const maxScrapes = 4

// Handler returns a handler that serves the metrics. It doesn't compress: a gzip.Writer takes
// 800 kB, for a response of 7 kB at level Normal.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		DisableCompression:  true,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             10 * time.Second,
	})
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range allFamilies {
		ch <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	measured, agentList := m.measured, m.agent.listMetrics()
	m.mu.Unlock()
	for _, list := range [][]prometheus.Metric{{m.build}, m.process(), agentList, measured} {
		for _, metric := range list {
			ch <- metric
		}
	}
}
