package main

import (
	"path/filepath"
	"strings"
	"testing"

	"portreeve.io/portreeve/agent/metrics"
	"portreeve.io/portreeve/controllers"
	"portreeve.io/portreeve/internal/testutil/golden"
)

func TestThePageIsUpToDate(t *testing.T) {
	golden.Check(t, filepath.Join("../../..", target), renderPage()) // make generate-docs writes it, too
}

func TestThePageHasEveryMetricOnce(t *testing.T) {
	page, help := renderPage(), map[string]string{}
	for _, f := range metrics.ListFamilies() {
		help[f.Name] = f.Help
	}
	for _, f := range controllers.ListFamilies() {
		help[f.Name] = f.Help
	}
	for name, helpText := range help {
		if n := strings.Count(page, "| `"+name+"` |"); n != 1 {
			t.Errorf("%s is there %d times", name, n)
		}
		if helpText == "" {
			t.Errorf("%s has no help text", name)

		}
	}
}
