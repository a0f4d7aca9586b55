package prometheus

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/metrics"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/portpressure"
)

// Every query of every dashboard has an answer on a Prometheus that scrapes the code's
// own metrics of a node on which everything is wrong at once.
func TestEveryQueryOfTheDashboardsHasAnAnswer(t *testing.T) {
	boards, err := Boards(root)
	if err != nil {
		t.Fatal(err)
	}
	pods := httptest.NewServer(everything())
	t.Cleanup(pods.Close)
	address := strings.TrimPrefix(pods.URL, "http://")
	config := discovered(t, []target{
		{address, "/agent", "agent", "portreeve-agent-x7k2p", "worker-1"},
		{address, "/controller", "controller", "portreeve-controller-5f-abcde", "worker-2"},
	}, map[string]any{"rule_files": []string{}})
	s := serve(t, start, config, free(t), http.DefaultClient)
	for name, board := range boards {
		for _, variable := range board.Templating.List {
			if variable.Type == "query" {
				await(t, name+": the variable "+variable.Name, func() error { return s.values(variable.Definition, "worker-1") })
			}
		}
		for title, query := range board.Queries("worker-1", "4s") {
			await(t, title, func() error { return s.some(query) })
		}
		if len(board.Queries("", "")) < 10 {
			t.Errorf("%s has only %d queries: is this its shape?", name, len(board.Queries("", "")))
		}
	}
}

// start starts a program that dies with this process.
func start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd.Start()
}

// free is an address on loopback that is free now.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

var labelValues = regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`)

// values asks for what Grafana's label_values(metric, label) does.
func (s server) values(definition, want string) error {
	m := labelValues.FindStringSubmatch(definition)
	if m == nil {
		return fmt.Errorf("%s is not label_values(metric, label)", definition)
	}
	var answer struct{ Data []string }
	err := s.get("/api/v1/label/"+m[2]+"/values?"+url.Values{"match[]": {m[1]}}.Encode(), &answer)
	if !slices.Contains(answer.Data, want) {
		return fmt.Errorf("%s has %q (%w), want %s", definition, answer.Data, err, want)
	}
	return nil
}

// everything serves the metrics of an agent and of the controller.
func everything() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/agent", worst().Handler())
	mux.Handle("/controller", promhttp.HandlerFor(controller(), promhttp.HandlerOpts{}))
	return mux
}

// controller has a series of each family of the controller's. Its collector wants a
// cache; what the dashboards hold on to is the names.
func controller() *prometheus.Registry {
	values := map[string]string{"state": "silent", "level": "Critical", "namespace": "shop", "name": "database"}
	registry := prometheus.NewRegistry()
	for _, f := range portpressure.Families() {
		gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: f.Name, Help: f.Help}, f.Labels)
		registry.MustRegister(gauge)
		labels := prometheus.Labels{}
		for _, name := range f.Labels {
			labels[name] = values[name]
		}
		gauge.With(labels).Set(1)
	}
	return registry
}

// worst are the metrics of an agent whose node has every trouble.
func worst() *metrics.Metrics {
	owner := socket.Owner{Kind: socket.OwnerPod, PodUID: "0b8ba9f1-5b7d-4a10-9d57-7d1d2f0c6b11", Namespace: "shop", Pod: "checkout-7f"}
	pod := socket.Network{
		Inode: 2, Cookie: 2, Owner: owner, Detailed: true, Held: 950,
		Settings: socket.Settings{Range: socket.Range{First: 40000, Last: 40999}},
		Destinations: []socket.Destination{{
			Source: netip.MustParseAddr("10.0.0.4"), Address: netip.MustParseAddr("10.1.0.9"), Port: 5432, Reusable: 7,
			States: socket.States{socket.TimeWait: 950},
		}},
	}
	pod.States.Add(pod.Destinations[0].States)
	sample := &socket.Sample{
		Taken: time.Now(), Cost: time.Millisecond, Reader: socket.Reader{Name: "portwalk", Exactness: socket.Exact},
		Networks: []socket.Network{pod}, Failures: []socket.Failure{{Inode: 2, Port: 5432, Count: 12}},
	}
	facts := assess.Facts{
		AgentVersion: "v0.1.0",
		Conntrack:    &assess.Conntrack{Entries: 200000, Max: 262144, InsertFailed: new(int64(3)), Drop: new(int64(3)), EarlyDrop: new(int64(1))},
		TCP:          assess.TCP{TimeWaitOverflow: new(uint64(15)), ListenOverflows: new(uint64(0)), Orphans: new(uint64(2)), Memory: new(0.25)},
	}
	status := assess.Status(*sample, facts)
	status.ExhaustionSeconds = new(int64(240))
	for i := range status.Networks {
		status.Networks[i].Cause = v1alpha1.CauseTimeWaitChurn
	}
	m := metrics.New("v0.1.0")
	m.Observe(sample, &status, metrics.Tick{Interval: 10 * time.Second, Took: 20 * time.Millisecond, Facts: facts})
	m.Wrote("ok")
	return m
}

func TestPromtoolFindsNothingInTheMetrics(t *testing.T) {
	for _, path := range []string{"/agent", "/controller"} {
		page := httptest.NewRecorder()
		everything().ServeHTTP(page, httptest.NewRequest(http.MethodGet, path, nil))
		if series := strings.Count(page.Body.String(), "\nportreeve_"); series < 3 {
			t.Fatalf("%s has only %d series", path, series)
		}
		check := exec.CommandContext(t.Context(), program(t, "promtool"), "check", "metrics")
		check.Stdin = page.Body
		if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}
