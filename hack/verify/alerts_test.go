package verify

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/metrics"
	"portreeve.io/portreeve/controllers"
	"portreeve.io/portreeve/hack/prometheus"
)

// runbooks is where an alert's page is, on the web and in the repository.
const runbooks = "https://github.com/portreeve/portreeve/blob/main/docs/runbooks/"

// known are the metrics that the code has, each with its labels.
func known(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, f := range metrics.ListFamilies() {
		all[f.Name] = f.Labels
		if f.Type == "summary" {
			all[f.Name+"_sum"], all[f.Name+"_count"] = f.Labels, f.Labels
		}
	}
	for _, f := range controllers.ListFamilies() {
		all[f.Name] = f.Labels
	}
	if len(all) < 30 {
		t.Fatalf("only %d metrics found in the code: is this its shape?", len(all))
	}
	return all
}

// scraped are labels that a series gets when it is scraped.
var scraped = []string{"cluster", "node", "instance", "job", "namespace", "pod"}

// unknown are the metrics and labels in an expression, or a text with one, that the
// code doesn't have.
func unknown(all map[string][]string, text string) (list []string) {
	having := slices.Clone(scraped) // labels of any of its metrics
	for _, s := range prometheus.FindSelectors(text) {
		labels, ok := all[s.Metric]
		if !ok {
			list = append(list, s.Metric)
			continue
		}
		having = append(having, labels...)
		for _, l := range s.Labels {
			if !slices.Contains(labels, l) && !slices.Contains(scraped, l) {
				list = append(list, s.Metric+"{"+l+"}")
			}
		}
	}
	for _, l := range prometheus.FindGroupingLabels(text) {
		if !slices.Contains(having, l) {
			list = append(list, "by ("+l+")")
		}
	}
	return list
}

func TestRulesAndDashboardsNameWhatTheCodeHas(t *testing.T) {
	all := known(t)
	rules, err := prometheus.ReadRules(root)
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	look := func(where, text string) {
		named += len(prometheus.FindSelectors(text))
		for _, u := range unknown(all, text) {
			t.Errorf("%s names %s, which the code doesn't have", where, u)
		}
	}
	for _, r := range rules {
		for _, text := range append(slices.Collect(maps.Values(r.Annotations)), r.Expr) {
			look("the alert "+r.Alert, text)
		}
	}
	boards, err := prometheus.ReadDashboards(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range boards {
		for title, query := range b.ExpandQueries("a", "1m") {
			look(title, query)
		}
		for _, v := range b.Templating.List {
			look(b.UID+": "+v.Name, v.Definition)
		}
	}
	if named < 80 {
		t.Errorf("only %d metrics are named: is this how rules and dashboards look?", named)
	}
}

func TestUnknown(t *testing.T) {
	all := map[string][]string{"portreeve_level": {"level"}, "portreeve_controller_agents": {"state"}}
	for text, want := range map[string]string{
		`max by (node, level) (portreeve_level{level="x",pod="y"})`: "",
		`sum by (state) (portreeve_controller_agents{state="x"})`:   "",
		`portreeve_levels`:                   "portreeve_levels",
		`portreeve_level{lvl="x"}`:           "portreeve_level{lvl}",
		`sum by (state) (portreeve_level)`:   "by (state)",
		`{{ printf "portreeve_nothing{}" }}`: "portreeve_nothing",
	} {
		if got := strings.Join(unknown(all, text), " "); got != want {
			t.Errorf("unknown(%s) = %q, want %q", text, got, want)
		}
	}
}

// An alert says how bad it is, what happens to whom, and where to read on; it waits.
func TestAlertsAreComplete(t *testing.T) {
	rules, err := prometheus.ReadRules(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if s := r.Labels["severity"]; s != "warning" && s != "critical" {
			t.Errorf("%s has the severity %q", r.Alert, s)
		}
		if d, err := time.ParseDuration(r.For); err != nil || d < time.Minute {
			t.Errorf("%s waits for %q: must be a minute or more", r.Alert, r.For)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s has the annotations %v", r.Alert, r.Annotations)
		}
		if want := runbooks + r.Alert + ".md"; r.Annotations["runbook_url"] != want {
			t.Errorf("%s has the runbook %s, want %s", r.Alert, r.Annotations["runbook_url"], want)
		}
	}
}

func TestEveryAlertHasARunbookAndEveryRunbookAnAlert(t *testing.T) {
	rules, err := prometheus.ReadRules(root)
	if err != nil {
		t.Fatal(err)
	}
	alerts := map[string]bool{}
	for _, r := range rules {
		alerts[r.Alert] = true
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "runbooks", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	headings := regexp.MustCompile(`(?m)^#+ .*$`)
	for _, path := range pages {
		name := strings.TrimSuffix(filepath.Base(path), ".md")
		if !alerts[name] {
			t.Errorf("%s is of no alert", path)
		}
		delete(alerts, name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"# " + name, "## Meaning", "## Impact", "## Diagnosis", "## Mitigation"}
		if got := headings.FindAllString(string(text), -1); !slices.Equal(got, want) {
			t.Errorf("%s has the headings %q, want %q", path, got, want)
		}
	}
	for name := range alerts {
		t.Errorf("the alert %s has no docs/runbooks/%s.md", name, name)
	}
}
