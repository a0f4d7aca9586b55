package prometheus

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/metrics"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// newMetricsHandler returns a handler for the metrics of an agent and the controller.
func newMetricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/agent", newTroubledAgentMetrics().Handler())
	mux.Handle("/controller", promhttp.HandlerFor(newControllerRegistry(), promhttp.HandlerOpts{}))
	return mux
}

// newControllerRegistry returns a registry with a series of each metric of the controller.
// It does not use the real collectors, which require a cache.
func newControllerRegistry() *prometheus.Registry {
	values := map[string]string{"state": "silent", "level": "Critical", "namespace": "shop", "name": "database", "tuning": "gateways", "phase": "Paused"}
	registry := prometheus.NewRegistry()
	for _, f := range controllers.ListFamilies() {
		gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: f.Name, Help: f.Help}, f.Labels)
		registry.MustRegister(gauge)
		labels := prometheus.Labels{}
		for _, name := range f.Labels {
			labels[name] = values[name]
		}
		gauge.With(labels).Set(1)
		if f.Name == "portreeve_controller_tuning_nodes" { // states used by dashboards
			for _, labels["state"] = range []string{"updated", "failed"} {
				gauge.With(labels).Set(1)
			}
		}
	}
	return registry
}

// newTroubledAgentMetrics returns the metrics of an agent on a node with all problems of
// Linux and Windows.
func newTroubledAgentMetrics() *metrics.Metrics {
	owner := socket.Owner{Kind: socket.OwnerPod, PodUID: "0b8ba9f1-5b7d-4a10-9d57-7d1d2f0c6b11", Namespace: "shop", Pod: "checkout-7f"}
	pod := socket.Network{
		Inode: 2, Cookie: 2, Owner: owner, Detailed: true, InUse: 950,
		Settings: socket.Settings{Range: ports.Range{First: 40000, Last: 40999}},
		Destinations: []socket.Destination{{
			Source: netip.MustParseAddr("10.0.0.4"), Address: netip.MustParseAddr("10.1.0.9"), Port: 5432, Reusable: 7,
			States: tcpstate.Counts{tcpstate.TimeWait: 950},
		}},
	}
	pod.States.Add(pod.Destinations[0].States)
	sample := &socket.Sample{
		Taken: time.Now(), CPUTime: time.Millisecond, Reader: socket.Reader{Name: "portwalk", Exactness: socket.Exact},
		Networks: []socket.Network{pod}, Failures: []socket.Failure{{Inode: 2, Port: 5432, Count: 12}},
		Windows: &socket.Windows{Ranges: []socket.DynamicRange{{Protocol: socket.TCP, FreeBlocks: new(3)}}},
	}
	facts := assess.Facts{
		AgentVersion: "v0.1.0",
		Conntrack:    &assess.Conntrack{Entries: 200000, Max: 262144, InsertFailed: new(int64(3)), Drop: new(int64(3)), EarlyDrop: new(int64(1))},
		TCP:          assess.TCP{TimeWaitOverflow: new(uint64(15)), ListenOverflows: new(uint64(0)), Orphans: new(uint64(2)), MemoryRatio: new(0.25)},
		Windows:      &assess.Windows{BootedAt: time.Now(), UpdatePending: true, Memory: &assess.WindowsMemory{Commit: 3 << 30, CommitLimit: 4 << 30, Physical: 8 << 30}},
	}
	status := assess.BuildStatus(*sample, facts)
	status.ExhaustionSeconds = new(int64(240))
	for i := range status.Networks {
		status.Networks[i].Cause = v1alpha1.CauseTimeWaitChurn
	}
	m := metrics.New("v0.1.0")
	m.RecordSample(sample, &status, metrics.Tick{Interval: 10 * time.Second, Took: 20 * time.Millisecond, Facts: facts})
	m.RecordWrite("ok")
	return m
}

func TestPromtoolAcceptsTheMetrics(t *testing.T) {
	for _, path := range []string{"/agent", "/controller"} {
		page := httptest.NewRecorder()
		newMetricsHandler().ServeHTTP(page, httptest.NewRequest(http.MethodGet, path, nil))
		if series := strings.Count(page.Body.String(), "\nportreeve_"); series < 3 {
			t.Fatalf("%s has only %d series", path, series)
		}
		check := exec.CommandContext(t.Context(), findProgram(t, "promtool"), "check", "metrics")
		check.Stdin = page.Body
		if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}
