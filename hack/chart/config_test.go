package chart

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// elsewhere is a namespace that isn't the one that config/ names.
const elsewhere = "netops"

// configured are the objects of folders of config/, by kind and name, for namespace.
func configured(t *testing.T, namespace string, folders ...string) map[string]*unstructured.Unstructured {
	t.Helper()
	objects := map[string]*unstructured.Unstructured{}
	for _, folder := range folders {
		paths, err := filepath.Glob(filepath.Join(Root(t), "config", folder, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, path := range paths {
			if filepath.Base(path) == "kustomization.yaml" {
				continue
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			read, err := Decode(strings.ReplaceAll(string(data), "portreeve-system", namespace))
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			for _, o := range read {
				if o.GetKind() != "" { // a plain file of Prometheus has none
					found++
					objects[key(o)] = o
				}
			}
		}
		if found == 0 {
			t.Fatalf("config/%s has no objects", folder)
		}
	}
	return objects
}

// The keys of what more than one test looks for.
const (
	linuxAgent = "DaemonSet portreeve-agent"
	releaseJob = "Job portreeve-release"
)

// key tells objects of a release apart.
func key(o *unstructured.Unstructured) string { return o.GetKind() + " " + o.GetName() }

// ownLabels removes the labels that config/ doesn't have, and so what the chart added.
func ownLabels(o, config *unstructured.Unstructured) {
	labels := o.GetLabels()
	for name := range labels {
		if _, ok := config.GetLabels()[name]; !ok {
			delete(labels, name)
		}
	}
	if len(labels) == 0 {
		labels = nil
	}
	o.SetLabels(labels)
}

// operated makes the chart render what is for a Prometheus operator, which helm template
// doesn't know to be there.
var operated = []string{"--set", "prometheus.rules.enabled=true,prometheus.podMonitor.enabled=true"}

func TestCRDsRightsPoliciesAndAlertsAreThoseOfConfig(t *testing.T) {
	for _, namespace := range []string{"portreeve-system", elsewhere} {
		t.Run(namespace, func(t *testing.T) {
			want := configured(t, namespace, "crd", "rbac", "admission", "prometheus", "release")
			delete(want, releaseJob)
			for _, o := range Render(t, namespace, operated...) {
				kind := o.GetKind()
				if slices.Contains([]string{"DaemonSet", "Deployment", "Job", "PodDisruptionBudget", "Service", "ConfigMap"}, kind) {
					continue
				}
				config, ok := want[key(o)]
				if !ok {
					t.Errorf("%s is not in config/", key(o))
					continue
				}
				delete(want, key(o))
				if o.GetLabels()["app.kubernetes.io/managed-by"] != "Helm" {
					t.Errorf("%s has the labels %v, want the chart's, too", key(o), o.GetLabels())
				}
				ownLabels(o, config)
				if kind == "CustomResourceDefinition" {
					keeps(t, o)
				}
				if strings.HasSuffix(o.GetName(), "-release") {
					hooked(t, o)
				}
				if diff := cmp.Diff(config.Object, o.Object); diff != "" {
					t.Errorf("%s (-config +chart):\n%s", key(o), diff)
				}
			}
			for missing := range want {
				t.Errorf("%s is not in the chart", missing)
			}
		})
	}
}

// keeps takes the annotation away that makes helm uninstall leave a CRD, and with it
// the objects.
func keeps(t *testing.T, crd *unstructured.Unstructured) {
	t.Helper()
	annotations := crd.GetAnnotations()
	if annotations["helm.sh/resource-policy"] != "keep" {
		t.Errorf("%s has annotations %v, want helm.sh/resource-policy: keep", crd.GetName(), annotations)
	}
	delete(annotations, "helm.sh/resource-policy")
	crd.SetAnnotations(annotations)
}

func TestTheNetworkPolicyIsThatOfTheComponent(t *testing.T) {
	const policy = "NetworkPolicy portreeve"
	config := configured(t, elsewhere, "components/network-policy")[policy]
	for _, o := range Render(t, elsewhere, "--set", "networkPolicy.enabled=true") {
		if key(o) != policy {
			continue
		}
		ownLabels(o, config)
		if diff := cmp.Diff(config.Object, o.Object); diff != "" {
			t.Errorf("%s (-config +chart):\n%s", policy, diff)
		}
		return
	}
	t.Errorf("no %s", policy)
}

// hooked takes the annotations away that have an object there for an uninstall only.
func hooked(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	annotations := o.GetAnnotations()
	for name, want := range map[string]string{"hook": "pre-delete", "hook-delete-policy": "before-hook-creation,hook-succeeded"} {
		if annotations["helm.sh/"+name] != want {
			t.Errorf("%s has annotations %v, want helm.sh/%s: %s", key(o), annotations, name, want)
		}
	}
	maps.DeleteFunc(annotations, func(name, _ string) bool { return strings.HasPrefix(name, "helm.sh/hook") })
	if len(annotations) == 0 {
		annotations = nil
	}
	o.SetAnnotations(annotations)
}

// What the chart leaves to values is left out of the comparison, and tested by goldens.
func TestPodsAreThoseOfConfig(t *testing.T) {
	want := configured(t, elsewhere, "agent", "controller")
	want[releaseJob] = configured(t, elsewhere, "release")[releaseJob]
	for _, o := range Render(t, elsewhere, "--set", "agent.podNames=uid") {
		config, ok := want[key(o)]
		if !ok {
			continue
		}
		delete(want, key(o))
		if o.GetNamespace() != elsewhere {
			t.Errorf("%s is in namespace %q, want %q", key(o), o.GetNamespace(), elsewhere)
		}
		ownLabels(o, config)
		if key(o) == releaseJob {
			hooked(t, o)
		}
		for _, side := range []*unstructured.Unstructured{o, config} {
			if side.GetKind() == "PodDisruptionBudget" {
				continue // it has no pods of its own
			}
			container := container(t, side)
			for _, field := range []string{"args", "image", "imagePullPolicy", "resources"} {
				delete(container, field)
			}
		}
		if diff := cmp.Diff(config.Object, o.Object); diff != "" {
			t.Errorf("%s (-config +chart):\n%s", key(o), diff)
		}
	}
	for missing := range want {
		t.Errorf("%s is not in the chart", missing)
	}
}

// container is the only one of a workload's pods, not a copy.
func container(t *testing.T, o *unstructured.Unstructured) map[string]any {
	t.Helper()
	containers, _, err := unstructured.NestedFieldNoCopy(o.Object, "spec", "template", "spec", "containers")
	if err != nil {
		t.Fatal(err)
	}
	list, ok := containers.([]any)
	if !ok || len(list) != 1 {
		t.Fatalf("%s has containers %v, want one", key(o), containers)
	}
	return list[0].(map[string]any)
}

func TestNothingNamesAnotherNamespace(t *testing.T) {
	out, err := Template(t, elsewhere, append(operated, "--set", "agent.podNames=api")...)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, "portreeve-system") {
			t.Errorf("in namespace %s: %s", elsewhere, line)
		}
	}
}
