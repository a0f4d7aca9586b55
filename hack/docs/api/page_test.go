package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"portreeve.io/portreeve/internal/testutil/golden"
)

const rootDir = "../../../"

func TestTheReferencesAreUpToDate(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			want, err := renderPage(rootDir+sourceDir, k)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, filepath.Join(rootDir, targetDir, k.fileName()), want) // also written by make generate-docs
		})
	}
}

func TestTheReferencesAreComplete(t *testing.T) {
	tests := map[string]struct{ kind, want string }{
		"a column":                    {"PortPressure", "| AGENT | `metadata.labels.portreeve\\.io/agent` |"},
		"a field with a bound":        {"PortPressure", "| `settings` | list of [Setting](#setting), at most 128 |"},
		"a required field":            {"PortPressure", "| `used` | integer; required | The number of"},
		"a value":                     {"PortPressure", "| `Warning` |"},
		"a reason":                    {"PortPressure", "| `AgentSilent` |"},
		"a type of Kubernetes":        {"PortPressure", "[LabelSelector](https://kubernetes.io/"},
		"a type of a type":            {"PortPressure", "## PortRange"},
		"a bound at both sides":       {"PortPressure", "integer, from 1, to 100"},
		"scope and short name":        {"NodeTuning", "`portreeve.io/v1alpha1`, cluster-scoped, short name `nt`."},
		"a column of -o wide":         {"NodeTuning", "| PRIORITY | `spec.priority` | With `-o wide`."},
		"a map":                       {"NodeTuning", "| `sysctls` | map of [SysctlValue](#sysctlvalue), at most 16 |"},
		"a choice":                    {"NodeTuning", "| `reuse` | string, one of Off, All, Loopback,"},
		"a number or a percentage":    {"NodeTuning", "| `maxUnavailable` | integer or percentage,"},
		"a condition":                 {"NodeTuning", "| `Conflicted` |"},
		"a type that both pages have": {"NodeTuning", "## Thresholds"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if text := renderKind(t, tt.kind); !strings.Contains(text, tt.want) {
				t.Errorf("no %q", tt.want)
			}
		})
	}
}

func TestNoMarkersAndNoConstantsOfOtherKinds(t *testing.T) {
	for _, k := range kinds {
		text := renderKind(t, k.name)
		for _, marker := range []string{"+optional", "kubebuilder:"} {
			if strings.Contains(text, marker) {
				t.Errorf("the page of %s has the marker %s", k.name, marker)
			}
		}
	}
	if strings.Contains(renderKind(t, "NodeTuning"), "portreeve.io/last-notified") || strings.Contains(renderKind(t, "PortPressure"), "portreeve.io/release") {
		t.Error("a constant is on the page of another kind")
	}
}

func TestAPackageWithoutTheTypeIsAnError(t *testing.T) {
	if _, err := renderPage(".", kinds[0]); err == nil {
		t.Error("page of a package without NodeTuning succeeded")
	}
}

func renderKind(t *testing.T, name string) string {
	t.Helper()
	text, err := renderPage(rootDir+sourceDir, kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })])
	if err != nil {
		t.Fatal(err)
	}
	return text
}
