package controllers_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/api/v1alpha1"
)

// maxStored is the maximum size of a stored status.
const maxStored = 64 << 10

// statusField is a string field of the status's schema, as a path such as networks.[].pod.
type statusField struct {
	path      string
	maxLength int
}

// readStatusSchema returns the schema of a status.
func readStatusSchema(t *testing.T) map[string]any {
	t.Helper()
	raw, err := os.ReadFile("../config/crd/portreeve.io_portpressures.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema struct {
						Properties map[string]map[string]any `json:"properties"`
					} `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(raw, &crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"]
}

func listStatusFields(schema map[string]any, path string) (fields []statusField) {
	if schema["type"] == "string" && schema["format"] == nil && schema["enum"] == nil {
		length, _ := schema["maxLength"].(float64)
		return []statusField{{strings.TrimPrefix(path, "."), int(length)}}
	}
	if items, ok := schema["items"].(map[string]any); ok {
		fields = append(fields, listStatusFields(items, path+".[]")...)
	}
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		property, _ := properties[name].(map[string]any)
		fields = append(fields, listStatusFields(property, path+"."+name)...)
	}
	return fields
}

// buildValue returns a value with the required fields of a schema. The field at path gets
// text; lists on the way to it have that many items.
func buildValue(schema map[string]any, path []string, text string, items int) any {
	switch schema["type"] {
	case "array":
		list := []any{}
		for range items {
			if len(path) > 0 {
				item, _ := schema["items"].(map[string]any)
				list = append(list, buildValue(item, path[1:], text, items))
			}
		}
		return list
	case "object":
		object := map[string]any{}
		properties, _ := schema["properties"].(map[string]any)
		required, _ := schema["required"].([]any)
		for name, p := range properties {
			property, _ := p.(map[string]any)
			switch {
			case len(path) > 0 && path[0] == name:
				object[name] = buildValue(property, path[1:], text, items)
			case slices.Contains(required, any(name)):
				object[name] = buildValue(property, nil, "", items)
			}
		}
		return object
	case "string":
		if path != nil {
			return text
		}
		if values, ok := schema["enum"].([]any); ok {
			return values[0]
		}
		if schema["format"] == "date-time" {
			return "2026-12-01T00:00:00Z"
		}
		return "X"
	case "boolean":
		return false
	}
	return 1
}

// writeStatus writes a status as the agent of a, and returns the stored size.
func writeStatus(t *testing.T, agent client.Client, status any) (size int, err error) {
	t.Helper()
	body, err := json.Marshal([]map[string]any{{"op": "add", "path": "/status", "value": status}})
	if err != nil {
		t.Fatal(err)
	}
	p := newPortPressure("limits")
	if err := agent.Status().Patch(t.Context(), p, client.RawPatch(types.JSONPatchType, body)); err != nil {
		return 0, err
	}
	stored, err := json.Marshal(p.Status)
	if err != nil {
		t.Fatal(err)
	}
	return len(stored), nil
}

// misleading has characters that no string may contain, and the first one again.
var misleading = []string{"a\u202eb", "a\u0001b", "a\nb", "a\u2067b", "a\u200fb", "a\u009bb", "a\u202eb"}

// An attacker with an agent's token can write little, and nothing that misleads readers.
func TestAStatusIsSmallAndPrintable(t *testing.T) {
	env := startAPI(t)
	controller := env.ClientFor(t, env.Token(t, controllerAccount, "limits"))
	if err := controller.Create(t.Context(), newPortPressure("limits")); err != nil {
		t.Fatal(err)
	}
	agent := env.ClientFor(t, env.Token(t, agentAccount, "limits"))
	schema := readStatusSchema(t)
	fields := listStatusFields(schema, "")
	if len(fields) < 50 {
		t.Fatalf("only %d fields", len(fields))
	}
	largest := 0
	for i, f := range fields {
		path := strings.Split(f.path, ".")
		if f.maxLength == 0 {
			t.Errorf("%s has no maxLength", f.path)
		}
		isName := strings.HasPrefix(f.path, "conditions.") && !strings.HasSuffix(f.path, "message") // has a stricter pattern
		if _, err := writeStatus(t, agent, buildValue(schema, path, "fine", 1)); err != nil {
			t.Errorf("%s: %v", f.path, err)
		}
		for _, bad := range misleading[i%(len(misleading)-1):][:2] {
			if _, err := writeStatus(t, agent, buildValue(schema, path, bad, 1)); err == nil {
				t.Errorf("%s may be %q", f.path, bad)
			}
		}
		if _, err := writeStatus(t, agent, buildValue(schema, path, strings.Repeat("x", f.maxLength+1), 1)); err == nil {
			t.Errorf("%s may be longer than %d", f.path, f.maxLength)
		}
		for _, items := range []int{1, 16, 128} {
			if isName {
				continue
			}
			size, err := writeStatus(t, agent, buildValue(schema, path, strings.Repeat("<", f.maxLength/8), items))
			if err == nil {
				largest = max(largest, size)
			}
		}
	}
	t.Logf("%d fields, the largest status that was accepted has %d bytes", len(fields), largest)
	if largest > maxStored {
		t.Errorf("a status of %d bytes was accepted", largest)
	}
	message := strings.Repeat("x", 1000)
	var settings []v1alpha1.SettingStatus
	for i := range 128 {
		settings = append(settings, v1alpha1.SettingStatus{ID: fmt.Sprint("s", i), Key: "k", State: "Applied", Message: message})
	}
	if _, err := writeStatus(t, agent, v1alpha1.PortPressureStatus{Settings: settings}); err == nil || !strings.Contains(err.Error(), "limited to") {
		t.Errorf("a status of 128 kB: %v", err)
	}
}
