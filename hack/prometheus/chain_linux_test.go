package prometheus

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/hack/netload/testnet"
)

// Where the parts of the chain are, in a network namespace of their own.
const (
	agentAt        = "127.0.0.1:9797"
	prometheusAt   = "127.0.0.1:9090"
	alertmanagerAt = "127.0.0.1:9093"
	receiverAt     = "127.0.0.1:9999"
)

// alert is one of a notification, as Alertmanager sends it to a webhook.
type alert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// A real program runs out of ports in a network namespace. The agent measures it,
// Prometheus scrapes the agent and evaluates the rules, Alertmanager routes as the
// example does, and a webhook gets the critical alert, and then its end.
//
// The rules and the example's times are those of config/prometheus, but for one thing: a
// minute is a second here (Prometheus scrapes and evaluates each second, too).
func TestTheCriticalAlertArrivesAndIsResolved(t *testing.T) {
	monitoring, application := space(t), space(t)
	dir := t.TempDir()
	build(t, filepath.Join(dir, "portreeve-agent"), "./agent/cmd/portreeve-agent")
	build(t, filepath.Join(dir, "checkout"), "./hack/netload")

	notifications := receive(t, monitoring)
	manage(t, monitoring, routed(t))
	run(t, monitoring.Start, filepath.Join(dir, "portreeve-agent"), "run", "--node-name=worker-1", "--kubeconfig="+nowhere(t),
		"--pod-names=uid", "--address="+agentAt, "--tick=500ms", "--pressed-tick=500ms", "--cpu-budget=100", "--log-level=error")
	config := discovered(t, []target{{agentAt, "/metrics", "agent", "portreeve-agent-x7k2p", "worker-1"}}, map[string]any{
		"rule_files": []string{compressed(t)},
		"alerting":   map[string]any{"alertmanagers": []any{map[string]any{"static_configs": []any{map[string]any{"targets": []string{alertmanagerAt}}}}}},
	})
	s := serve(t, monitoring.Start, config, prometheusAt, within(monitoring))

	for key, value := range map[string]string{"net.ipv4.ip_local_port_range": "40000 40099", "net.ipv4.tcp_tw_reuse": "0"} {
		if err := application.Sysctl(key, value); err != nil {
			t.Fatal(err)
		}
	}
	load := run(t, application.Start, filepath.Join(dir, "checkout"), "-to", "127.0.0.2:5432", "-churn", "50", "-stay", "4s", "-reset")
	got := expect(t, notifications, "firing")
	text, err := yaml.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the webhook got:\n%s", text)
	want := map[string]string{
		"alertname": "PortHeadroomLow", "severity": "critical",
		"node": "worker-1", "instance": "worker-1", "network": "process/checkout",
	}
	if diff := cmp.Diff(want, got.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"summary":     `^process/checkout on worker-1 uses (8[5-9]|9\d|100)(\.\d+)?% of its ports to one destination$`,
		"description": `^The tightest pool of ports of process/checkout on worker-1 is (8[5-9]|9\d|100)(\.\d+)?% used\. `,
		"runbook_url": `/docs/runbooks/PortHeadroomLow\.md$`,
	} {
		if !regexp.MustCompile(want).MatchString(got.Annotations[name]) {
			t.Errorf("%s is %q, want %s", name, got.Annotations[name], want)
		}
	}
	await(t, "connects that fail", func() error { return s.some(`portreeve_network_failed_connects_total{network="process/checkout"} > 0`) })
	answers(t, s)

	if err := load.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if resolved := expect(t, notifications, "resolved"); !cmp.Equal(resolved.Labels, want) {
		t.Errorf("resolved is %v, want %v", resolved.Labels, want)
	}
}

// space is a network namespace that goes with the test.
func space(t *testing.T) *testnet.Space {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the test makes network namespaces")
	}
	s, err := testnet.New()
	if errors.Is(err, unix.EPERM) {
		t.Skipf("needs CAP_SYS_ADMIN and CAP_NET_ADMIN: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the namespace: %v", err)
		}
	})
	return s
}

func build(t *testing.T, path, folder string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", path, folder)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// manage starts Alertmanager. Debian's reads its templates from /usr/share, where a
// package that is only unpacked isn't: it gets a /usr/share of its own.
func manage(t *testing.T, s *testnet.Space, config string) {
	t.Helper()
	path := program(t, "prometheus-alertmanager")
	share := filepath.Join(filepath.Dir(path), "..", "share")
	run(t, s.Start, "unshare", "--mount", "--", "sh", "-ec", `mount --bind "$1" /usr/share; shift; exec "$@"`, "sh", share,
		path, "--config.file="+config, "--web.listen-address="+alertmanagerAt, "--storage.path="+t.TempDir(), "--cluster.listen-address=", "--log.level=warn")
	alertmanager := server{"http://" + alertmanagerAt, within(s)}
	await(t, "Alertmanager", func() error { return alertmanager.get("/-/ready", nil) })
}

// within is a client whose connections are made in the namespace.
func within(s *testnet.Space) *http.Client {
	dial := func(_ context.Context, network, address string) (c net.Conn, err error) {
		s.Do(func() { c, err = net.Dial(network, address) })
		return c, err
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

// receive is the webhook.
func receive(t *testing.T, s *testnet.Space) <-chan alert {
	t.Helper()
	var listener net.Listener
	var err error
	s.Do(func() { listener, err = net.Listen("tcp", receiverAt) })
	if err != nil {
		t.Fatal(err)
	}
	alerts := make(chan alert, 1000)
	web := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Receiver string  `json:"receiver"`
			Alerts   []alert `json:"alerts"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, a := range body.Alerts {
			if (body.Receiver == "pages") == (a.Labels["severity"] == "critical") {
				alerts <- a // what is routed elsewhere is never seen
			}
		}
	})}
	go func() { _ = web.Serve(listener) }()
	t.Cleanup(func() { _ = web.Close() })
	return alerts
}

// expect waits for the critical alert of the application; others are of what else runs
// out of ports on this machine.
func expect(t *testing.T, from <-chan alert, status string) alert {
	t.Helper()
	end := time.After(patience)
	for {
		select {
		case a := <-from:
			t.Logf("%s %v: %s", a.Status, a.Labels, a.Annotations["summary"])
			if a.Status == status && a.Labels["alertname"] == "PortHeadroomLow" && a.Labels["severity"] == "critical" && a.Labels["network"] == "process/checkout" {
				return a
			}
		case <-end:
			t.Fatalf("no %s PortHeadroomLow of process/checkout within %v", status, patience)
		}
	}
}

var (
	minutes = regexp.MustCompile(`\b(\d+)m\b`)
	seconds = regexp.MustCompile(`\b\d+s\b`)
	hook    = regexp.MustCompile(`http://\S+/alerts`)
)

// compressed are the rules with a second for each minute.
func compressed(t *testing.T) string {
	t.Helper()
	return changed(t, "portreeve.rules.yaml", func(text string) string { return minutes.ReplaceAllString(text, "${1}s") })
}

// routed is examples/alertmanager.yaml with the test's webhook, and the shortest waits.
func routed(t *testing.T) string {
	t.Helper()
	return changed(t, filepath.Join("examples", "alertmanager.yaml"), func(text string) string {
		return hook.ReplaceAllString(minutes.ReplaceAllString(seconds.ReplaceAllString(text, "1s"), "1s"), "http://"+receiverAt+"/alerts")
	})
}

// changed is a copy of a file of config/prometheus after change, which has to do
// something.
func changed(t *testing.T, name string, change func(string) string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, Config, name))
	if err != nil {
		t.Fatal(err)
	}
	after := change(string(text))
	if after == string(text) {
		t.Fatalf("%s has nothing to change: is this its shape?", name)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(name))
	if err := os.WriteFile(path, []byte(after), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// nowhere is a kubeconfig of an API server that isn't there: the agent measures on.
func nowhere(t *testing.T) string {
	t.Helper()
	return write(t, "kubeconfig", map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "none",
		"clusters": []any{map[string]any{"name": "none", "cluster": map[string]string{"server": "http://127.0.0.1:1"}}},
		"contexts": []any{map[string]any{"name": "none", "context": map[string]string{"cluster": "none"}}},
	})
}

// answers asks the queries of the dashboards: each has an answer where the agent has
// the metrics that it names.
func answers(t *testing.T, s server) {
	t.Helper()
	boards, err := Boards(root)
	if err != nil {
		t.Fatal(err)
	}
	answered := 0
	for _, board := range boards {
		for title, query := range board.Queries("worker-1", "30s") {
			await(t, title, func() error {
				if err := s.some(query); err == nil {
					answered++
				} else if s.missing(query) == "" {
					return err
				}
				return nil
			})
		}
	}
	if answered < 30 {
		t.Errorf("only %d queries have an answer", answered)
	}
}

// missing is a metric of the query that has no series.
func (s server) missing(query string) string {
	for _, sel := range Selectors(query) {
		if s.some(sel.Metric) != nil {
			return sel.Metric
		}
	}
	return ""
}
