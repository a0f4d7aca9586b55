// Command api generates docs/reference/portpressure.md and nodetuning.md from comments and
// markers in api/v1alpha1. Run it in the repository root: go run ./hack/docs/api
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	sourceDir = "api/v1alpha1"
	targetDir = "docs/reference"
)

// kinds lists the kinds that have a page. Untyped constants belong to the first kind with a
// prefix of their file name; the last kind gets the remaining constants.
var kinds = []kind{
	{"NodeTuning", []string{"nodetuning_", "reasons_tuning"}},
	{"PortPressure", []string{""}},
}

type kind struct {
	name         string
	filePrefixes []string
}

// includesFile reports whether the page of k includes the constants in file.
func (k kind) includesFile(file string) bool {
	for _, other := range kinds {
		if slices.ContainsFunc(other.filePrefixes, func(prefix string) bool { return strings.HasPrefix(file, prefix) }) {
			return other.name == k.name
		}
	}
	return false
}

// fileName returns the file name of the page of k.
func (k kind) fileName() string { return strings.ToLower(k.name) + ".md" }

func main() {
	var failed error
	for _, k := range kinds {
		failed = errors.Join(failed, writePage(k))
	}
	if failed != nil {
		fmt.Fprintln(os.Stderr, failed)
		os.Exit(1)
	}
}

func writePage(k kind) error {
	text, err := renderPage(sourceDir, k)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(targetDir, k.fileName()), []byte(text), 0o644)
}
