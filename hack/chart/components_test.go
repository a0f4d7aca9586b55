package chart

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The components of config/ render the same agents as the chart.
func TestModesMatchTheComponents(t *testing.T) {
	const windowsAgent = "DaemonSet portreeve-agent-windows"
	rights := []string{"ClusterRole portreeve-agent-tuning-pods", "ClusterRoleBinding portreeve-agent-tuning-pods"}
	for component, tt := range map[string]struct {
		set  string
		want []string
	}{
		"tuning-host":    {"agent.mode=host", []string{linuxAgent}},
		"tuning-pods":    {"agent.mode=pods", append(rights, linuxAgent)},
		"tuning-windows": {"agent.windows.mode=host", []string{windowsAgent}},
	} {
		t.Run(component, func(t *testing.T) {
			want := buildComponentObjects(t, "pod-logs", component)
			var seen []string
			for _, o := range RenderObjects(t, "portreeve-system", "--set", tt.set) {
				config, ok := want[objectKey(o)]
				if !ok || !slices.Contains(tt.want, objectKey(o)) {
					continue
				}
				seen = append(seen, objectKey(o))
				removeChartLabels(o, config)
				if o.GetKind() == "DaemonSet" {
					compareFlags(t, findContainer(t, config), findContainer(t, o))
				}
				byName := cmpopts.SortSlices(func(a, b any) bool { return elementName(a) < elementName(b) })
				if diff := cmp.Diff(config.Object, o.Object, byName); diff != "" {
					t.Errorf("%s (-config +chart):\n%s", objectKey(o), diff)
				}
			}
			if diff := cmp.Diff(tt.want, seen, cmpopts.SortSlices(strings.Compare)); diff != "" {
				t.Errorf("compared (-want +got):\n%s", diff)
			}
		})
	}
}

// compareFlags checks that the chart sets the flags of the component, and removes fields
// that are configured by values.
func compareFlags(t *testing.T, config, chart map[string]any) {
	t.Helper()
	args := chart["args"].([]any)
	for _, arg := range config["args"].([]any) {
		if arg != "--tune=host" && !slices.Contains(args, arg) { // components/tuning-pods overrides it
			t.Errorf("the component sets %s, but the chart sets %s", arg, args)
		}
	}
	for _, field := range []string{"args", "image", "imagePullPolicy", "resources"} {
		delete(config, field)
		delete(chart, field)
	}
}

// elementName returns the name of an element of a list in a pod.
func elementName(v any) string {
	if m, ok := v.(map[string]any); ok {
		name, _ := m["name"].(string)
		return name
	}
	name, _ := v.(string)
	return name
}

// buildComponentObjects builds config/default with components, by kind and name.
func buildComponentObjects(t *testing.T, components ...string) map[string]*unstructured.Unstructured {
	t.Helper()
	dir := t.TempDir()
	config, err := filepath.Rel(dir, filepath.Join(FindRepositoryRoot(t), "config"))
	if err != nil {
		t.Fatal(err)
	}
	text := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [" + config + "/default]\ncomponents:\n"
	for _, c := range components {
		text += "- " + config + "/components/" + c + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	kubectl := exec.CommandContext(t.Context(), findBuiltProgram(t, "kubectl"), "kustomize", dir)
	kubectl.Stderr = &stderr
	out, err := kubectl.Output()
	if err != nil {
		t.Fatalf("kubectl kustomize: %v\n%s", err, &stderr)
	}
	list, err := DecodeObjects(string(out))
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]*unstructured.Unstructured{}
	for _, o := range list {
		objects[objectKey(o)] = o
	}
	return objects
}
