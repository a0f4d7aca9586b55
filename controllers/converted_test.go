package controllers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The API accepts the output of portreeve-agent convert, and warns of the same as that
// command, whose test writes the files.
func TestTheOutputOfConvertIsAccepted(t *testing.T) {
	env, warned := startWithAdvice(t)
	files, err := filepath.Glob(filepath.Join(env.Root, "agent", "cmd", "portreeve-agent", "testdata", "convert", "*.yaml"))
	files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, ".in.yaml") })
	if err != nil || len(files) < 5 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(file, ".yaml")
		text, err := os.ReadFile(base + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range splitDocuments(t, file) {
			t.Run(filepath.Base(document), func(t *testing.T) {
				warned.lines = nil
				got := createFromFile(t, env, document)
				var want []string
				for line := range strings.Lines(string(text)) {
					warning, isAbout := strings.CutPrefix(strings.TrimSpace(line), "warning: "+got.Name+": ")
					if isAbout && !strings.HasPrefix(warning, "spec.pods: ") {
						want = append(want, warning)
					}
				}
				slices.Sort(want)
				if diff := cmp.Diff(want, warned.listAdvice(t), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("convert warns of something else (-convert +API server):\n%s", diff)
				}
			})
		}
	}
}

// splitDocuments writes each document of a YAML file to a file of its own.
func splitDocuments(t *testing.T, file string) (paths []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i, document := range strings.Split(string(text), "\n---\n") {
		path := filepath.Join(dir, fmt.Sprintf("%s-%d.yaml", strings.TrimSuffix(filepath.Base(file), ".yaml"), i))
		if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}
