package prometheus

import (
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/internal/testutil/testnet"
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
		if err := application.WriteSysctl(key, value); err != nil {
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

	for len(notifications) > 0 {
		<-notifications
	}
	if err := load.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if resolved := expect(t, notifications, "resolved"); !cmp.Equal(resolved.Labels, want) {
		t.Errorf("resolved is %v, want %v", resolved.Labels, want)
	}
}

// receive is the webhook.
func receive(t *testing.T, s *testnet.Namespace) <-chan alert {
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
