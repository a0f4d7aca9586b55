package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLinesAreTruncatedToTheTerminalsWidth(t *testing.T) {
	tests := map[string]struct {
		line  string
		width int
		want  string
	}{
		"a line that fits":            {"vm   Normal", 11, "vm   Normal"},
		"a line that is too long":     {"vm   Normal", 10, "vm   Norm…"},
		"characters count, not bytes": {"a → b", 5, "a → b"},
		"a terminal of unknown width": {"vm   Normal", 0, "vm   Normal"},
		"one column":                  {"vm", 1, "…"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff([]string{tt.want, ""}, truncateLines([]string{tt.line, ""}, tt.width)); d != "" {
				t.Error(d)
			}
		})
	}
}
