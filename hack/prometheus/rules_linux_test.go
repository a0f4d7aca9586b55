package prometheus

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestPromtoolAcceptsTheRules(t *testing.T) {
	for _, args := range [][]string{
		{"check", "rules", "--lint-fatal", filepath.Join(repositoryRoot, ConfigDir, "portreeve.rules.yaml")},
		{"check", "config", writePrometheusConfig(t, nil, map[string]any{"rule_files": []string{}})},
	} {
		if out, err := exec.CommandContext(t.Context(), findProgram(t, "promtool"), args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args[1], err, out)
		}
	}
	example := filepath.Join(repositoryRoot, ConfigDir, "examples", "alertmanager.yaml")
	if out, err := exec.CommandContext(t.Context(), findProgram(t, "amtool"), "check-config", example).CombinedOutput(); err != nil {
		t.Errorf("amtool: %v\n%s", err, out)
	}
}

// alertUnitTests contains the parts of a promtool test file that this test uses.
type alertUnitTests struct {
	Tests []struct {
		Alerts []struct {
			Name string `json:"alertname"`
			Want []struct {
				Labels map[string]string `json:"exp_labels"`
			} `json:"exp_alerts"`
		} `json:"alert_rule_test"`
	} `json:"tests"`
}

// The promtool tests pass, and test that each rule fires and does not fire.
func TestEveryRuleFiresAndDoesNotFire(t *testing.T) {
	promtool := findProgram(t, "promtool")
	rules, err := ReadRules(repositoryRoot)
	if err != nil {
		t.Fatal(err)
	}
	fired, silent, names := map[string]int{}, map[string]int{}, map[string]bool{}
	for _, rule := range rules {
		names[rule.Alert] = true
	}
	for name := range names {
		path := filepath.Join(repositoryRoot, ConfigDir, "tests", name+".yaml")
		t.Run(name, func(t *testing.T) {
			countExpectedAlerts(t, path, fired, silent)
			if out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", path).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	for _, rule := range rules {
		if key := rule.Alert + rule.Labels["severity"] + rule.Labels["reason"]; fired[key] == 0 || silent[rule.Alert] == 0 {
			t.Errorf("%s %v: %d tests expect it to fire, %d expect it not to fire", rule.Alert, rule.Labels, fired[key], silent[rule.Alert])
		}
	}
}

// countExpectedAlerts counts, for the test file at path, expected alerts by alert, severity and
// reason in fired, and tests that expect no alert in silent.
func countExpectedAlerts(t *testing.T, path string, fired, silent map[string]int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var u alertUnitTests
	if err := yaml.Unmarshal(data, &u); err != nil {
		t.Fatal(err)
	}
	for _, test := range u.Tests {
		for _, a := range test.Alerts {
			if a.Name != strings.TrimSuffix(filepath.Base(path), ".yaml") {
				t.Errorf("%s tests %s", path, a.Name)
			}
			for _, want := range a.Want {
				fired[a.Name+want.Labels["severity"]+want.Labels["reason"]]++
			}
			if len(a.Want) == 0 {
				silent[a.Name]++
			}
		}
	}
}
