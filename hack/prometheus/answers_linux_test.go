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
	if err == nil && !slices.Contains(answer.Data, want) {
		err = fmt.Errorf("%s has %q, want %s", definition, answer.Data, want)
	}
	return err
}
