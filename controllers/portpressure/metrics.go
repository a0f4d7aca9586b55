package portpressure

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Family describes the metrics of one name, also for the reference. All are gauges.
type Family struct {
	Name, Help string
	Labels     []string
	// Absent describes when there is no such series.
	Absent string
}

// Families returns the metric families that the controller adds to controller-runtime's.
func Families() []Family { return []Family{agentsFamily, nodesFamily, destinationsFamily} }

const absentOnStandby = "on the standby replica, and briefly after the start"

var (
	agentsFamily = Family{
		Name:   "portreeve_controller_agents",
		Help:   "Number of nodes by the state of their agent: reporting, starting (never reported yet), silent, none (no agent pod).",
		Labels: []string{"state"},
		Absent: absentOnStandby,
	}
	nodesFamily = Family{
		Name:   "portreeve_controller_nodes",
		Help:   "Number of nodes by level: Normal, Warning, Critical, or unknown if the agent is not reporting or measured nothing.",
		Labels: []string{"level"},
		Absent: absentOnStandby,
	}
	destinationsFamily = Family{
		Name:   "portreeve_controller_destination_info",
		Help:   "Always 1. The Service or Pod behind the destination of a node's tightest pool above the warning threshold. kind, namespace and name are empty if it is neither, or must not be looked up.",
		Labels: []string{"destination", "port", "kind", "namespace", "name"},
		Absent: absentOnStandby + "; below the warning threshold; or not among the 100 destinations that most nodes share",
	}
)

// NewDesc returns the family's description for Prometheus.
func (f Family) NewDesc() *prometheus.Desc { return prometheus.NewDesc(f.Name, f.Help, f.Labels, nil) }

// NewMetric returns one series.
func (f Family) NewMetric(value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(f.NewDesc(), prometheus.GaugeValue, value, labels...)
}

// Metrics is a collector that counts the nodes at each scrape.
type Metrics struct {
	cache   client.Reader
	elected <-chan struct{}
	names   NameResolver
}

// NewMetrics returns a collector that reads from the cache. It collects nothing before
// elected is closed: otherwise the standby replica would count every node again.
func NewMetrics(cache client.Reader, elected <-chan struct{}, names NameResolver) *Metrics {
	return &Metrics{cache: cache, elected: elected, names: names}
}

// scrapeTimeout limits the time that a scrape waits for the cache to fill and for names.
const scrapeTimeout = time.Second

// maxDestinations limits the series of destinationsFamily.
const maxDestinations = 100

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) {
	for _, f := range Families() {
		c <- f.NewDesc()
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	select {
	case <-m.elected:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	list := &v1alpha1.PortPressureList{}
	if err := m.cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return // the cache is not filled yet: an error would fail the other metrics
	}
	fleet := summarizeFleet(list.Items)
	for state, n := range fleet.agents {
		c <- agentsFamily.NewMetric(float64(n), state)
	}
	for level, n := range fleet.levels {
		c <- nodesFamily.NewMetric(float64(n), string(level))
	}
	for _, e := range fleet.listCommonEndpoints(maxDestinations, v1alpha1.LevelCritical, v1alpha1.LevelWarning) {
		name := m.names.ResolveName(ctx, e.destination)
		c <- destinationsFamily.NewMetric(1, e.destination, strconv.Itoa(int(e.port)), name.Kind, name.Namespace, name.Name)
	}
}
