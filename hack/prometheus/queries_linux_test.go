package prometheus

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Every dashboard query returns series from a Prometheus that scrapes the actual metrics of
// a node with all kinds of problems.
func TestEveryDashboardQueryReturnsSeries(t *testing.T) {
	dashboards, err := ReadDashboards(repositoryRoot)
	if err != nil {
		t.Fatal(err)
	}
	pods := httptest.NewServer(newMetricsHandler())
	t.Cleanup(pods.Close)
	address := strings.TrimPrefix(pods.URL, "http://")
	config := writePrometheusConfig(t, []scrapeTarget{
		{address, "/agent", "agent", "portreeve-agent-x7k2p", "worker-1"},
		{address, "/controller", "controller", "portreeve-controller-5f-abcde", "worker-2"},
	}, map[string]any{"rule_files": []string{}})
	s := startPrometheus(t, startWithDeathSignal, config, findFreeAddress(t), http.DefaultClient)
	for name, dashboard := range dashboards {
		for _, variable := range dashboard.Templating.List {
			if variable.Type == "query" {
				waitFor(t, name+": the variable "+variable.Name, func() error { return s.requireLabelValue(variable.Definition, "worker-1") })
			}
		}
		for title, query := range dashboard.ExpandQueries("worker-1", "4s") {
			waitFor(t, title, func() error { return s.requireSeries(query) })
		}
		if len(dashboard.ExpandQueries("", "")) < 10 {
			t.Errorf("%s has only %d queries: has its format changed?", name, len(dashboard.ExpandQueries("", "")))
		}
	}
}

// requireDashboardAnswers waits until each dashboard query returns series, except queries
// for metrics that the agent does not export.
func requireDashboardAnswers(t *testing.T, s prometheusServer) {
	t.Helper()
	dashboards, err := ReadDashboards(repositoryRoot)
	if err != nil {
		t.Fatal(err)
	}
	answered := 0
	for _, dashboard := range dashboards {
		for title, query := range dashboard.ExpandQueries("worker-1", "30s") {
			waitFor(t, title, func() error {
				if err := s.requireSeries(query); err == nil {
					answered++
				} else if s.findMissingMetric(query) == "" {
					return err
				}
				return nil
			})
		}
	}
	if answered < 30 {
		t.Errorf("only %d queries return series", answered)
	}
}

// findMissingMetric returns a metric in query without series, or "".
func (s prometheusServer) findMissingMetric(query string) string {
	for _, sel := range FindSelectors(query) {
		if s.requireSeries(sel.Metric) != nil {
			return sel.Metric
		}
	}
	return ""
}

// startWithDeathSignal starts a program that is killed when this process ends.
func startWithDeathSignal(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd.Start()
}

// findFreeAddress returns a loopback address with a free port.
func findFreeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

var labelValuesPattern = regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`)

// requireLabelValue evaluates label_values(metric, label) as Grafana does, and returns an
// error unless the result contains want.
func (s prometheusServer) requireLabelValue(definition, want string) error {
	m := labelValuesPattern.FindStringSubmatch(definition)
	if m == nil {
		return fmt.Errorf("%s is not label_values(metric, label)", definition)
	}
	var answer struct{ Data []string }
	err := s.getJSON("/api/v1/label/"+m[2]+"/values?"+url.Values{"match[]": {m[1]}}.Encode(), &answer)
	if err == nil && !slices.Contains(answer.Data, want) {
		err = fmt.Errorf("%s has %q, want %s", definition, answer.Data, want)
	}
	return err
}
