package verify

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/cause"
)

// Every cause of the API is in the table of causes exactly once, and has a section in
// docs/causes.md.
func TestCausesAreDocumented(t *testing.T) {
	want := parseConstants(t, filepath.Join(root, "api/v1alpha1/portpressure_values.go"), "Cause")
	var got []string
	for _, e := range cause.Causes {
		got = append(got, string(e.Cause))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cause.Causes (-API +Causes):\n%s", diff)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs/causes.md"))
	if err != nil {
		t.Fatal(err)
	}
	headings := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if mark, text, ok := strings.Cut(line, " "); ok && strings.Trim(mark, "#") == "" && mark != "" {
			headings[strings.TrimSpace(text)] = true
		}
	}
	for _, c := range want {
		if !headings[c] {
			t.Errorf("docs/causes.md has no heading %q", c)
		}
	}
}

// parseConstants returns the values of the string constants of a type in a Go file.
func parseConstants(t *testing.T, path, kind string) (values []string) {
	t.Helper()
	syntax, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(syntax, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		name, named := spec.Type.(*ast.Ident)
		literal, plain := spec.Values[0].(*ast.BasicLit)
		if named && plain && name.Name == kind {
			value, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
		return true
	})
	if len(values) == 0 {
		t.Fatalf("%s has no constants of type %s", path, kind)
	}
	return values
}
