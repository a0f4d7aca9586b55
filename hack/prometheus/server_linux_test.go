package prometheus

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// scrapeTarget is a pod that examples/prometheus.yaml would discover. Its metadata is set as
// labels, because Debian's Prometheus is built without Kubernetes discovery.
type scrapeTarget struct {
	address, path, component, pod, node string
}

// writePrometheusConfig writes examples/prometheus.yaml with static targets and the
// additional settings in more.
func writePrometheusConfig(t *testing.T, targets []scrapeTarget, more map[string]any) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repositoryRoot, ConfigDir, "examples", "prometheus.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.UnmarshalStrict(data, &config); err != nil {
		t.Fatal(err)
	}
	scrape := config["scrape_configs"].([]any)[0].(map[string]any)
	delete(scrape, "kubernetes_sd_configs")
	var found []any
	for _, to := range targets {
		found = append(found, map[string]any{"targets": []string{to.address}, "labels": map[string]string{
			"__metrics_path__":                                        to.path,
			"__meta_kubernetes_pod_container_port_name":               "metrics",
			"__meta_kubernetes_pod_label_app_kubernetes_io_component": to.component,
			"__meta_kubernetes_pod_name":                              to.pod,
			"__meta_kubernetes_pod_node_name":                         to.node,
		}})
	}
	scrape["static_configs"] = found
	config["global"] = map[string]string{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
	maps.Copy(config, more)
	return writeYAML(t, "prometheus.yml", config)
}

// writeYAML writes tree to a temporary YAML file.
func writeYAML(t *testing.T, name string, tree any) string {
	t.Helper()
	data, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// prometheusServer is a running Prometheus.
type prometheusServer struct {
	url    string
	client *http.Client
}

// startPrometheus starts Prometheus at address.
func startPrometheus(t *testing.T, start func(*exec.Cmd) error, config, address string, client *http.Client) prometheusServer {
	t.Helper()
	startProgram(t, start, findProgram(t, "prometheus"), "--config.file="+config, "--web.listen-address="+address,
		"--storage.tsdb.path="+t.TempDir(), "--log.level=warn")
	s := prometheusServer{"http://" + address, client}
	waitFor(t, "Prometheus at "+address, func() error { return s.getJSON("/-/ready", nil) })
	return s
}

// startProgram starts a program, whose output is logged if the test fails.
func startProgram(t *testing.T, start func(*exec.Cmd) error, path string, args ...string) *exec.Cmd {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have exited already
		_ = cmd.Wait()
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("%s printed:\n%s", filepath.Base(path), text)
		}
		_ = log.Close()
	})
	return cmd
}

// getJSON requests path and decodes the JSON response into out.
func (s prometheusServer) getJSON(path string, out any) error {
	answer, err := s.client.Get(s.url + path)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if out != nil {
		err = json.NewDecoder(answer.Body).Decode(out)
	}
	if answer.StatusCode != http.StatusOK && err == nil {
		err = fmt.Errorf("%s: %s", path, answer.Status)
	}
	return err
}

// countSeries returns the current number of series of an expression.
func (s prometheusServer) countSeries(expr string) (int, error) {
	var answer struct {
		Error string
		Data  struct{ Result []any }
	}
	err := s.getJSON("/api/v1/query?"+url.Values{"query": {expr}}.Encode(), &answer)
	if answer.Error != "" {
		err = fmt.Errorf("%s: %s", expr, answer.Error)
	}
	return len(answer.Data.Result), err
}

// requireSeries returns an error unless the expression has a series.
func (s prometheusServer) requireSeries(expr string) error {
	n, err := s.countSeries(expr)
	if err == nil && n == 0 {
		err = fmt.Errorf("%s has no series", expr)
	}
	return err
}

// waitTimeout is the maximum time to wait for a condition.
const waitTimeout = 2 * time.Minute

// waitFor waits until try succeeds.
func waitFor(t *testing.T, what string, try func() error) {
	t.Helper()
	for end := time.Now().Add(waitTimeout); ; time.Sleep(100 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not reached within %v: %v", what, waitTimeout, err)
		}
	}
}
