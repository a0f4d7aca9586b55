package portpressure

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Metrics counts the nodes by what their agent does, each time that it is read.
type Metrics struct {
	cache   client.Reader
	elected <-chan struct{}
}

// NewMetrics returns a collector that reads from the cache, and has nothing to say
// before elected is closed: the replica that stands by would count every node twice.
func NewMetrics(cache client.Reader, elected <-chan struct{}) *Metrics {
	return &Metrics{cache, elected}
}

var agents = prometheus.NewDesc("portreeve_controller_agents",
	"Nodes by the state of their agent: reporting, starting (never reported yet), silent, none (no agent pod).",
	[]string{"state"}, nil)

// patient is how long a scrape waits for a cache that is being filled.
const patient = time.Second

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) { c <- agents }

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	select {
	case <-m.elected:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	list := &v1alpha1.PortPressureList{}
	if err := m.cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return // the cache is not filled yet: an error would fail the other metrics
	}
	for state, n := range count(list.Items) {
		c <- prometheus.MustNewConstMetric(agents, prometheus.GaugeValue, float64(n), state)
	}
}

// count has every state, zero included.
func count(all []v1alpha1.PortPressure) map[string]int {
	const reporting, starting = "reporting", "starting"
	n := map[string]int{reporting: 0, starting: 0, v1alpha1.AgentSilent: 0, v1alpha1.AgentNone: 0}
	for i := range all {
		switch label := all[i].Labels[v1alpha1.LabelAgent]; {
		case label == v1alpha1.AgentSilent || label == v1alpha1.AgentNone:
			n[label]++
		case all[i].Status.ObservedAt == nil:
			n[starting]++
		default:
			n[reporting]++
		}
	}
	return n
}
