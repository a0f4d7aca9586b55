package verify

import (
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

// schema has the parts of an OpenAPI v3 schema that the tests check.
type schema struct {
	Type       string            `json:"type"`
	Format     string            `json:"format"`
	Enum       []any             `json:"enum"`
	MaxLength  *int64            `json:"maxLength"`
	MaxItems   *int64            `json:"maxItems"`
	MapType    string            `json:"x-kubernetes-map-type"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
	Values     *schema           `json:"additionalProperties"`
	MaxValues  *int64            `json:"maxProperties"`
}

type crd struct {
	Spec struct {
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Schema struct {
				OpenAPIV3Schema schema `json:"openAPIV3Schema"`
			}
		}
	}
}

// readCRDs returns every CRD of the repository by file name.
func readCRDs(t *testing.T) map[string]crd {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "config", "crd", "portreeve.io_*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no CRDs in config/crd (%v); run make generate", err)
	}
	crds := map[string]crd{}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		var c crd
		if err := yaml.Unmarshal(data, &c); err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		if len(c.Spec.Versions) == 0 {
			t.Fatalf("%s has no versions", p)
		}
		crds[filepath.Base(p)] = c
	}
	return crds
}

func TestEveryListMapAndStringOfACRDIsBounded(t *testing.T) {
	for name, c := range readCRDs(t) {
		for _, v := range c.Spec.Versions {
			for _, part := range []string{"spec", "status"} {
				s, ok := v.Schema.OpenAPIV3Schema.Properties[part]
				if !ok {
					t.Errorf("%s has no %s", name, part)
				}
				for _, problem := range findUnbounded(part, s) {
					t.Errorf("%s: %s", name, problem)
				}
			}
		}
	}
}

func TestSpecAndStatusOfPortPressureAreAtomic(t *testing.T) {
	c, ok := readCRDs(t)["portreeve.io_portpressures.yaml"]
	if !ok {
		t.Fatal("no CRD of PortPressure")
	}
	for _, v := range c.Spec.Versions {
		for _, part := range []string{"spec", "status"} {
			if got := v.Schema.OpenAPIV3Schema.Properties[part].MapType; got != "atomic" {
				t.Errorf("%s: x-kubernetes-map-type of %s is %q, want atomic", v.Name, part, got)
			}
		}
	}
}

// findUnbounded returns a problem for each list without maxItems, map without maxProperties
// and string without a bound. Label selectors are exempt: they are apimachinery's types and
// cannot have markers.
func findUnbounded(at string, s schema) (problems []string) {
	_, labels := s.Properties["matchLabels"]
	_, expressions := s.Properties["matchExpressions"]
	switch {
	case labels && expressions:
		return nil
	case s.Type == "string" && s.MaxLength == nil && s.Format == "" && len(s.Enum) == 0:
		problems = append(problems, at+" has no maxLength")
	case s.Type == "array" && s.MaxItems == nil:
		problems = append(problems, at+" has no maxItems")
	case s.Values != nil && s.MaxValues == nil:
		problems = append(problems, at+" has no maxProperties")
	}
	for name, p := range s.Properties {
		problems = append(problems, findUnbounded(at+"."+name, p)...)
	}
	if s.Items != nil {
		problems = append(problems, findUnbounded(at+"[]", *s.Items)...)
	}
	if s.Values != nil {
		problems = append(problems, findUnbounded(at+"{}", *s.Values)...)
	}
	return problems
}
