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

// Addresses of the programs in their network namespace.
const (
	agentAddress        = "127.0.0.1:9797"
	prometheusAddress   = "127.0.0.1:9090"
	alertmanagerAddress = "127.0.0.1:9093"
	webhookAddress      = "127.0.0.1:9999"
)

// webhookAlert is an alert in a notification that Alertmanager sends to a webhook.
type webhookAlert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// A real program exhausts its ports in a network namespace. The agent measures it,
// Prometheus scrapes the agent and evaluates the rules, Alertmanager routes alerts as in the
// example, and a webhook receives the critical alert and its resolution.
//
// The rules and routing are those of config/prometheus with minutes replaced by seconds;
// Prometheus scrapes and evaluates every second.
func TestTheCriticalAlertIsDeliveredAndResolved(t *testing.T) {
	monitoring, application := newNetns(t), newNetns(t)
	dir := t.TempDir()
	buildProgram(t, filepath.Join(dir, "portreeve-agent"), "./agent/cmd/portreeve-agent")
	buildProgram(t, filepath.Join(dir, "checkout"), "./hack/netload")

	notifications := startWebhook(t, monitoring)
	startAlertmanager(t, monitoring, writeAlertmanagerConfig(t))
	startProgram(t, monitoring.Start, filepath.Join(dir, "portreeve-agent"), "run", "--node-name=worker-1", "--kubeconfig="+writeUnreachableKubeconfig(t),
		"--pod-names=uid", "--address="+agentAddress, "--tick=500ms", "--pressed-tick=500ms", "--cpu-budget=100", "--log-level=error")
	config := writePrometheusConfig(t, []scrapeTarget{{agentAddress, "/metrics", "agent", "portreeve-agent-x7k2p", "worker-1"}}, map[string]any{
		"rule_files": []string{writeAcceleratedRules(t)},
		"alerting":   map[string]any{"alertmanagers": []any{map[string]any{"static_configs": []any{map[string]any{"targets": []string{alertmanagerAddress}}}}}},
	})
	s := startPrometheus(t, monitoring.Start, config, prometheusAddress, newNetnsClient(monitoring))

	for key, value := range map[string]string{"net.ipv4.ip_local_port_range": "40000 40099", "net.ipv4.tcp_tw_reuse": "0"} {
		if err := application.WriteSysctl(key, value); err != nil {
			t.Fatal(err)
		}
	}
	load := startProgram(t, application.Start, filepath.Join(dir, "checkout"), "-to", "127.0.0.2:5432", "-churn", "50", "-stay", "4s", "-reset")
	got := waitForCriticalAlert(t, notifications, "firing")
	text, err := yaml.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the webhook received:\n%s", text)
	want := map[string]string{
		"alertname": "PortHeadroomLow", "severity": "critical",
		"node": "worker-1", "instance": "worker-1", "network": "process/checkout",
	}
	if diff := cmp.Diff(want, got.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"summary":     `^process/checkout on worker-1 uses (8[5-9]|9\d|100)(\.\d+)?% of its ports to one destination$`,
		"description": `^The tightest port pool of process/checkout on worker-1 is (8[5-9]|9\d|100)(\.\d+)?% used\. `,
		"runbook_url": `/docs/runbooks/PortHeadroomLow\.md$`,
	} {
		if !regexp.MustCompile(want).MatchString(got.Annotations[name]) {
			t.Errorf("%s is %q, want %s", name, got.Annotations[name], want)
		}
	}
	waitFor(t, "failed connects", func() error {
		return s.requireSeries(`portreeve_network_failed_connects_total{network="process/checkout"} > 0`)
	})
	requireDashboardAnswers(t, s)

	for len(notifications) > 0 {
		<-notifications
	}
	if err := load.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if resolved := waitForCriticalAlert(t, notifications, "resolved"); !cmp.Equal(resolved.Labels, want) {
		t.Errorf("resolved is %v, want %v", resolved.Labels, want)
	}
}

// startWebhook starts the webhook and returns the alerts it receives.
func startWebhook(t *testing.T, s *testnet.Namespace) <-chan webhookAlert {
	t.Helper()
	var listener net.Listener
	var err error
	s.Do(func() { listener, err = net.Listen("tcp", webhookAddress) })
	if err != nil {
		t.Fatal(err)
	}
	alerts := make(chan webhookAlert, 1000)
	web := &http.Server{ReadHeaderTimeout: waitTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Receiver string         `json:"receiver"`
			Alerts   []webhookAlert `json:"alerts"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, a := range body.Alerts {
			if (body.Receiver == "pages") == (a.Labels["severity"] == "critical") {
				alerts <- a // ignores alerts routed to the wrong receiver
			}
		}
	})}
	go func() { _ = web.Serve(listener) }()
	t.Cleanup(func() { _ = web.Close() })
	return alerts
}

// waitForCriticalAlert waits for the critical alert of the application, ignoring alerts for
// other programs on this machine.
func waitForCriticalAlert(t *testing.T, from <-chan webhookAlert, status string) webhookAlert {
	t.Helper()
	end := time.After(waitTimeout)
	for {
		select {
		case a := <-from:
			t.Logf("%s %v: %s", a.Status, a.Labels, a.Annotations["summary"])
			if a.Status == status && a.Labels["alertname"] == "PortHeadroomLow" && a.Labels["severity"] == "critical" && a.Labels["network"] == "process/checkout" {
				return a
			}
		case <-end:
			t.Fatalf("no %s PortHeadroomLow of process/checkout within %v", status, waitTimeout)
		}
	}
}
