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

// runbooks is the base URL of the alerts' runbooks.
const runbooks = "https://github.com/portreeve/portreeve/blob/main/docs/runbooks/"

// collectMetrics returns the labels of each metric that the programs serve.
func collectMetrics(t *testing.T) map[string][]string {
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
		t.Fatalf("only %d metrics found in the code; was their declaration changed?", len(all))
	}
	return all
}

// scrapedLabels are the labels that Prometheus adds when it scrapes.
var scrapedLabels = []string{"cluster", "node", "instance", "job", "namespace", "pod"}

// findUnknown returns the metrics and labels in an expression, or in a text with
// expressions, that the programs do not serve.
func findUnknown(all map[string][]string, text string) (list []string) {
	groupable := slices.Clone(scrapedLabels) // and the labels of any metric in text
	for _, s := range prometheus.FindSelectors(text) {
		labels, ok := all[s.Metric]
		if !ok {
			list = append(list, s.Metric)
			continue
		}
		groupable = append(groupable, labels...)
		for _, l := range s.Labels {
			if !slices.Contains(labels, l) && !slices.Contains(scrapedLabels, l) {
				list = append(list, s.Metric+"{"+l+"}")
			}
		}
	}
	for _, l := range prometheus.FindGroupingLabels(text) {
		if !slices.Contains(groupable, l) {
			list = append(list, "by ("+l+")")
		}
	}
	return list
}

func TestRulesAndDashboardsUseExistingMetrics(t *testing.T) {
	all := collectMetrics(t)
	rules, err := prometheus.ReadRules(root)
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	check := func(where, text string) {
		used += len(prometheus.FindSelectors(text))
		for _, u := range findUnknown(all, text) {
			t.Errorf("%s uses %s, which the programs do not serve", where, u)
		}
	}
	for _, r := range rules {
		for _, text := range append(slices.Collect(maps.Values(r.Annotations)), r.Expr) {
			check("the alert "+r.Alert, text)
		}
	}
	boards, err := prometheus.ReadDashboards(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range boards {
		for title, query := range b.ExpandQueries("a", "1m") {
			check(title, query)
		}
		for _, v := range b.Templating.List {
			check(b.UID+": "+v.Name, v.Definition)
		}
	}
	if used < 80 {
		t.Errorf("only %d uses of metrics found; was the format of rules or dashboards changed?", used)
	}
}

func TestFindUnknown(t *testing.T) {
	all := map[string][]string{"portreeve_level": {"level"}, "portreeve_controller_agents": {"state"}}
	for text, want := range map[string]string{
		`max by (node, level) (portreeve_level{level="x",pod="y"})`: "",
		`sum by (state) (portreeve_controller_agents{state="x"})`:   "",
		`portreeve_levels`:                   "portreeve_levels",
		`portreeve_level{lvl="x"}`:           "portreeve_level{lvl}",
		`sum by (state) (portreeve_level)`:   "by (state)",
		`{{ printf "portreeve_nothing{}" }}`: "portreeve_nothing",
	} {
		if got := strings.Join(findUnknown(all, text), " "); got != want {
			t.Errorf("findUnknown(%s) = %q, want %q", text, got, want)
		}
	}
}

// An alert has a severity, a duration, a summary, a description and a runbook.
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
			t.Errorf("%s has for: %q, want a minute or more", r.Alert, r.For)
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
			t.Errorf("%s belongs to no alert", path)
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
