package main

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the page")

const up = "../../../"

func TestTheReferenceIsUpToDate(t *testing.T) {
	want, err := page(up + source)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(up+target, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(up + target)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(have)); diff != "" {
		t.Errorf("run make generate-docs; %s (-want +got):\n%s", target, diff)
	}
}

func TestTheReferenceHasWhatReadersLookFor(t *testing.T) {
	text, err := page(up + source)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a column":              "| AGENT | `metadata.labels.portreeve\\.io/agent` |",
		"a field with a bound":  "| `settings` | list of [Setting](#setting), at most 128 |",
		"a required field":      "| `used` | integer; required | how many",
		"a value":               "| `Warning` |",
		"a reason":              "| `AgentSilent` |",
		"a type of Kubernetes":  "[LabelSelector](https://kubernetes.io/",
		"a type of a type":      "## PortRange",
		"a bound at both sides": "integer, from 1, to 100",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s: no %q", name, want)
		}
	}
	for _, marker := range []string{"+optional", "kubebuilder:"} {
		if strings.Contains(text, marker) {
			t.Errorf("the page has the marker %s", marker)
		}
	}
}

func TestAFolderWithoutTheTypeIsAnError(t *testing.T) {
	if _, err := page("."); err == nil {
		t.Error("page of a package without PortPressure succeeded")
	}
}
