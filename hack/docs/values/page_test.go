package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestRenderTable(t *testing.T) {
	const values = `# What the file is for.

# A group that says
# something.
one:
  # One of:
  #   a  the first, which
  #      goes on.
  #   b  the second.
  mode: a
  silent: {x: 1}

two:
  # A | in a cell.
  three:
    list:
    - key: 1
      more: 2
    last: ""
`
	const want = `
| value | default | |
|---|---|---|
| ¬one¬ |  | A group that says something. |
| ¬one.mode¬ | ¬a¬ | One of:<br>¬a¬: the first, which goes on.<br>¬b¬: the second. |
| ¬one.silent¬ | ¬{x: 1}¬ |  |
| ¬two.three¬ |  | A \| in a cell. |
| ¬two.three.list¬ | ¬- key: 1 more: 2¬ |  |
| ¬two.three.last¬ | ¬""¬ |  |

`
	if diff := cmp.Diff(strings.ReplaceAll(want, "¬", "`"), renderTable(values)); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

// The lines are read without a parser of YAML, which drops comments. One that does not
// says whether they were read right.
func TestEveryChartValueIsListed(t *testing.T) {
	text, err := os.ReadFile("../../../" + chartDir + "values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, want := map[string]any{}, map[string]any{}
	for _, e := range parseValues(string(text)) {
		if e.value == "" {
			continue
		}
		var value any
		if err := yaml.Unmarshal([]byte(e.value), &value); err != nil {
			t.Errorf("%s: %v", e.path, err)
		}
		got[e.path] = value
	}
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	flattenValues("", tree, got, want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-values.yaml +read):\n%s", diff)
	}
}

// flattenValues puts the leaves of a tree into into: what is a value for known, or has
// nothing below.
func flattenValues(at string, node any, known, into map[string]any) {
	below, ok := node.(map[string]any)
	if _, leaf := known[at]; leaf || !ok || len(below) == 0 {
		into[at] = node
		return
	}
	for name, child := range below {
		flattenValues(strings.TrimPrefix(at+"."+name, "."), child, known, into)
	}
}
