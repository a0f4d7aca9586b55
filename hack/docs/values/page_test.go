package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestRenderTable(t *testing.T) {
	const values = `# Comment of the file.

# A group with
# a comment.
one:
  # One of:
  #   a  the first, which
  #      goes on.
  #   b  the second.
  mode: a
  undocumented: {x: 1}

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
| ¬one¬ |  | A group with a comment. |
| ¬one.mode¬ | ¬a¬ | One of:<br>¬a¬: the first, which goes on.<br>¬b¬: the second. |
| ¬one.undocumented¬ | ¬{x: 1}¬ |  |
| ¬two.three¬ |  | A \| in a cell. |
| ¬two.three.list¬ | ¬- key: 1 more: 2¬ |  |
| ¬two.three.last¬ | ¬""¬ |  |

`
	if diff := cmp.Diff(strings.ReplaceAll(want, "¬", "`"), renderTable(values)); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

// parseValues does not use a YAML parser, which would drop comments; this test compares the
// result with a YAML parser.
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

// flattenValues adds the leaves of node to into: nodes listed in known or without children.
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
