// Command api writes docs/reference/portpressure.md and nodetuning.md from the comments
// and markers of the types in api/v1alpha1. Run it from the root of the repository:
// go run ./hack/docs/api
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

// kinds are those that have a page. Constants without a type belong to the first kind
// that has a beginning of their file's name: the last one has all that is left.
var kinds = []kind{
	{"NodeTuning", []string{"nodetuning_", "reasons_tuning"}},
	{"PortPressure", []string{""}},
}

type kind struct {
	name  string
	files []string
}

// includesFile says whether the constants of file are of this kind's page.
func (k kind) includesFile(file string) bool {
	for _, other := range kinds {
		if slices.ContainsFunc(other.files, func(begin string) bool { return strings.HasPrefix(file, begin) }) {
			return other.name == k.name
		}
	}
	return false
}

// fileName is the name of the kind's page.
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
