package main

import (
	"strings"
	"testing"

	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/testutil/golden"
)

func TestTheGeneratedFileIsUpToDate(t *testing.T) {
	golden.Check(t, "../../"+target, formatFile()) // make generate-api writes it, too
}

func TestEverySysctlHasARule(t *testing.T) {
	text := formatFile()
	for _, s := range settings.All() {
		if s.OS == settings.Linux && strings.Count(text, `:rule="!('`+s.Key+`' in self)`) != 1 {
			t.Errorf("no rule, or more than one, is about %s", s.Key)
		}
	}
}
