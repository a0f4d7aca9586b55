// Package metrics is the agent's /metrics: what it measured last, and how it
// fares itself, in a registry of its own.
//
// What was measured is a snapshot of constant metrics, made whole at each sample:
// a pool or a network that is gone leaves no series behind. What could not be
// read is absent, never 0. The number of series is bounded, whatever runs on the
// node: at most 60 at level Normal, at most 400 under pressure.
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

// Tick is how a sample was made.
type Tick struct {
	// Interval is the time until the next sample, Took this one's by the clock.
	Interval, Took time.Duration
	// Stretched says that the CPU budget, not the wish, set Interval.
	Stretched bool
	// Facts are those that the status was made with: the thresholds, and what
	// could not be read beside the sample. The zero value means the default
	// thresholds, and nothing unseen.
	Facts assess.Facts
}

// Metrics are the agent's. They are safe for concurrent use, but for Observe,
// which one goroutine calls.
type Metrics struct {
	registry *prometheus.Registry
	process  func() []prometheus.Metric
	build    prometheus.Metric

	mu       sync.Mutex // for what follows
	measured []prometheus.Metric
	agent      agentMetrics
	failures failureCounter
}

// New makes the metrics of an agent of that version.
func New(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewPedanticRegistry(),
		process:  newProcessReader(),
		build:    buildInfo.newMetric(1, version, readGoVersion()),
		agent:      newAgentMetrics(),
	}
	m.registry.MustRegister(m)
	return m
}

// RecordSample takes a sample and the status that was made of it; both are left
// alone, and not kept.
func (m *Metrics) RecordSample(sample *socket.Sample, status *v1alpha1.PortPressureStatus, tick Tick) {
	owners := newNetworkIdentities(sample)
	snapshot := buildSnapshot(sample, status, tick.Facts, owners)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures.addSample(sample)
	m.measured = slices.Concat(snapshot, m.failures.listMetrics(sample, owners))
	m.agent.recordSample(sample, tick)
}

// RecordWrite counts an attempt to write the status: "ok", "not_found", "forbidden",
// "throttled", and "error" for everything else.
func (m *Metrics) RecordWrite(result string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.agent.recordWrite(result)
}

// maxScrapes is how many answers are made at the same time.
const maxScrapes = 4

// Handler serves the metrics. It doesn't compress: a gzip.Writer
// takes 800 kB, for an answer of 7 kB at rest.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		DisableCompression:  true,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             10 * time.Second,
	})
}

// Describe is for the registry.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range allFamilies {
		ch <- f.desc
	}
}

// Collect is for the registry.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	measured, own := m.measured, m.agent.listMetrics()
	m.mu.Unlock()
	for _, list := range [][]prometheus.Metric{{m.build}, m.process(), own, measured} {
		for _, metric := range list {
			ch <- metric
		}
	}
}
