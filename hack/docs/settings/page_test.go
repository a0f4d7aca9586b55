package main

import (
	"strings"
	"testing"

	"portreeve.io/portreeve/internal/settings"
)

func TestPageHasEverySetting(t *testing.T) {
	text := formatPage()
	for _, s := range settings.All() {
		if n := strings.Count(text, "### `"+s.Key+"`\n"); n != 1 {
			t.Errorf("%s has %d sections", s.Key, n)
		}
	}
}
