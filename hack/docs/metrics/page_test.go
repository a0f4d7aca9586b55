package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/metrics"
	"portreeve.io/portreeve/controllers"
)

var update = flag.Bool("update", false, "rewrite the page")

func TestThePageIsUpToDate(t *testing.T) {
	path := filepath.Join("../../..", target)
	if *update {
		if err := os.WriteFile(path, []byte(page()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(page(), string(got)); diff != "" {
		t.Errorf("run go run ./hack/docs/metrics: %s", diff)
	}
}

func TestThePageHasEveryMetricOnce(t *testing.T) {
	text, help := page(), map[string]string{}
	for _, f := range metrics.Families() {
		help[f.Name] = f.Help
	}
	for _, f := range controllers.Families() {
		help[f.Name] = f.Help
	}
	for name, says := range help {
		if n := strings.Count(text, "| `"+name+"` |"); n != 1 {
			t.Errorf("%s is there %d times", name, n)
		}
		if says == "" {
			t.Errorf("%s says nothing of itself", name)
		}
	}
}
