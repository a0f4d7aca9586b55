package portpressure

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Family is what the reference says of the metrics of one name. All are gauges.
type Family struct {
	Name, Help string
	Labels     []string
	// Absent says when there is no such series.
	Absent string
}

// Families are those that the controller adds to controller-runtime's.
func Families() []Family { return []Family{agentsFamily, nodesFamily, destinationsFamily} }

const absentOnStandby = "in the replica that stands by, and for a moment after the start"

var (
	agentsFamily = Family{
		"portreeve_controller_agents",
		"Nodes by the state of their agent: reporting, starting (never reported yet), silent, none (no agent pod).",
		[]string{"state"}, absentOnStandby,
	}
	nodesFamily = Family{
		"portreeve_controller_nodes",
		"Nodes by level: Normal, Warning, Critical, and unknown where the agent is not reporting or measured nothing.",
		[]string{"level"}, absentOnStandby,
	}
	destinationsFamily = Family{
		"portreeve_controller_destination_info",
		"Always 1: what the cluster calls the destination of a node's tightest pool past the warning line. Kind is Service, Pod, or empty with the names where it is neither, or may not be looked up.",
		[]string{"destination", "port", "kind", "namespace", "name"},
		absentOnStandby + "; below the warning line; or not among the 100 destinations that most nodes share",
	}
)

// NewDesc describes the metrics to Prometheus.
func (f Family) NewDesc() *prometheus.Desc { return prometheus.NewDesc(f.Name, f.Help, f.Labels, nil) }

// NewMetric is one series.
func (f Family) NewMetric(value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(f.NewDesc(), prometheus.GaugeValue, value, labels...)
}

// Metrics counts the nodes each time that it is read.
type Metrics struct {
	cache   client.Reader
	elected <-chan struct{}
	names   NameResolver
}

// NewMetrics returns a collector that reads from the cache, and has nothing to say
// before elected is closed: the replica that stands by would count every node twice.
func NewMetrics(cache client.Reader, elected <-chan struct{}, names NameResolver) *Metrics {
	return &Metrics{cache, elected, names}
}

// scrapeTimeout is how long a scrape waits for a cache that is being filled, and for names.
const scrapeTimeout = time.Second

// maxDestinations bounds the series.
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
	census := summarizeFleet(list.Items)
	for state, n := range census.agents {
		c <- agentsFamily.NewMetric(float64(n), state)
	}
	for level, n := range census.levels {
		c <- nodesFamily.NewMetric(float64(n), string(level))
	}
	for _, p := range census.listCommonEndpoints(maxDestinations, v1alpha1.LevelCritical, v1alpha1.LevelWarning) {
		name := m.names.ResolveName(ctx, p.destination)
		c <- destinationsFamily.NewMetric(1, p.destination, strconv.Itoa(int(p.port)), name.Kind, name.Namespace, name.Name)
	}
}
