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

// otherNamespace differs from the namespace used in config/.
const otherNamespace = "netops"

// readConfigObjects reads the objects in folders of config/ for namespace, by kind and name.
func readConfigObjects(t *testing.T, namespace string, folders ...string) map[string]*unstructured.Unstructured {
	t.Helper()
	objects := map[string]*unstructured.Unstructured{}
	for _, folder := range folders {
		paths, err := filepath.Glob(filepath.Join(FindRepositoryRoot(t), "config", folder, "*.yaml"))
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
			read, err := DecodeObjects(strings.ReplaceAll(string(data), "portreeve-system", namespace))
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			for _, o := range read {
				if o.GetKind() != "" { // portreeve.rules.yaml is not an object
					found++
					objects[objectKey(o)] = o
				}
			}
		}
		if found == 0 {
			t.Fatalf("config/%s has no objects", folder)
		}
	}
	return objects
}

// Keys of objects used by several tests.
const (
	linuxAgent = "DaemonSet portreeve-agent"
	releaseJob = "Job portreeve-release"
)

// objectKey returns the kind and name of an object.
func objectKey(o *unstructured.Unstructured) string { return o.GetKind() + " " + o.GetName() }

// removeChartLabels removes labels from o that the object in config/ does not have.
func removeChartLabels(o, config *unstructured.Unstructured) {
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

// operatorArgs makes helm template render the objects of the Prometheus operator.
var operatorArgs = []string{"--set", "prometheus.rules.enabled=true,prometheus.podMonitor.enabled=true"}

func TestCRDsRBACPoliciesAndAlertsMatchConfig(t *testing.T) {
	for _, namespace := range []string{"portreeve-system", otherNamespace} {
		t.Run(namespace, func(t *testing.T) {
			want := readConfigObjects(t, namespace, "crd", "rbac", "admission", "prometheus", "release")
			delete(want, releaseJob)
			for _, o := range RenderObjects(t, namespace, operatorArgs...) {
				kind := o.GetKind()
				if slices.Contains([]string{"DaemonSet", "Deployment", "Job", "PodDisruptionBudget", "Service", "ConfigMap"}, kind) {
					continue
				}
				config, ok := want[objectKey(o)]
				if !ok {
					t.Errorf("%s is not in config/", objectKey(o))
					continue
				}
				delete(want, objectKey(o))
				if o.GetLabels()["app.kubernetes.io/managed-by"] != "Helm" {
					t.Errorf("%s has labels %v, want also those of the chart", objectKey(o), o.GetLabels())
				}
				removeChartLabels(o, config)
				if kind == "CustomResourceDefinition" {
					removeKeepAnnotation(t, o)
				}
				if strings.HasSuffix(o.GetName(), "-release") {
					removeHookAnnotations(t, o)
				}
				if diff := cmp.Diff(config.Object, o.Object); diff != "" {
					t.Errorf("%s (-config +chart):\n%s", objectKey(o), diff)
				}
			}
			for missing := range want {
				t.Errorf("%s is not in the chart", missing)
			}
		})
	}
}

// removeKeepAnnotation checks and removes the annotation that makes helm uninstall keep a
// CRD and its objects.
func removeKeepAnnotation(t *testing.T, crd *unstructured.Unstructured) {
	t.Helper()
	annotations := crd.GetAnnotations()
	if annotations["helm.sh/resource-policy"] != "keep" {
		t.Errorf("%s has annotations %v, want helm.sh/resource-policy: keep", crd.GetName(), annotations)
	}
	delete(annotations, "helm.sh/resource-policy")
	crd.SetAnnotations(annotations)
}

func TestTheNetworkPolicyMatchesTheComponent(t *testing.T) {
	const policy = "NetworkPolicy portreeve"
	config := readConfigObjects(t, otherNamespace, "components/network-policy")[policy]
	for _, o := range RenderObjects(t, otherNamespace, "--set", "networkPolicy.enabled=true") {
		if objectKey(o) != policy {
			continue
		}
		removeChartLabels(o, config)
		if diff := cmp.Diff(config.Object, o.Object); diff != "" {
			t.Errorf("%s (-config +chart):\n%s", policy, diff)
		}
		return
	}
	t.Errorf("no %s", policy)
}

// removeHookAnnotations checks and removes the annotations of a pre-delete hook.
func removeHookAnnotations(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	annotations := o.GetAnnotations()
	for name, want := range map[string]string{"hook": "pre-delete", "hook-delete-policy": "before-hook-creation,hook-succeeded"} {
		if annotations["helm.sh/"+name] != want {
			t.Errorf("%s has annotations %v, want helm.sh/%s: %s", objectKey(o), annotations, name, want)
		}
	}
	maps.DeleteFunc(annotations, func(name, _ string) bool { return strings.HasPrefix(name, "helm.sh/hook") })
	if len(annotations) == 0 {
		annotations = nil
	}
	o.SetAnnotations(annotations)
}

// Fields configured by values are not compared; the golden files cover them.
func TestWorkloadsMatchConfig(t *testing.T) {
	want := readConfigObjects(t, otherNamespace, "agent", "controller")
	want[releaseJob] = readConfigObjects(t, otherNamespace, "release")[releaseJob]
	for _, o := range RenderObjects(t, otherNamespace, "--set", "agent.podNames=uid") {
		config, ok := want[objectKey(o)]
		if !ok {
			continue
		}
		delete(want, objectKey(o))
		if o.GetNamespace() != otherNamespace {
			t.Errorf("%s is in namespace %q, want %q", objectKey(o), o.GetNamespace(), otherNamespace)
		}
		removeChartLabels(o, config)
		if objectKey(o) == releaseJob {
			removeHookAnnotations(t, o)
		}
		for _, side := range []*unstructured.Unstructured{o, config} {
			if side.GetKind() == "PodDisruptionBudget" {
				continue // it has no pods of its own
			}
			container := findContainer(t, side)
			for _, field := range []string{"args", "image", "imagePullPolicy", "resources"} {
				delete(container, field)
			}
		}
		if diff := cmp.Diff(config.Object, o.Object); diff != "" {
			t.Errorf("%s (-config +chart):\n%s", objectKey(o), diff)
		}
	}
	for missing := range want {
		t.Errorf("%s is not in the chart", missing)
	}
}

// findContainer returns the only container of a workload, without copying it.
func findContainer(t *testing.T, o *unstructured.Unstructured) map[string]any {
	t.Helper()
	containers, _, err := unstructured.NestedFieldNoCopy(o.Object, "spec", "template", "spec", "containers")
	if err != nil {
		t.Fatal(err)
	}
	list, ok := containers.([]any)
	if !ok || len(list) != 1 {
		t.Fatalf("%s has containers %v, want one", objectKey(o), containers)
	}
	return list[0].(map[string]any)
}

func TestEverythingIsInTheReleaseNamespace(t *testing.T) {
	out, err := RenderTemplates(t, otherNamespace, append(operatorArgs, "--set", "agent.podNames=api")...)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, "portreeve-system") {
			t.Errorf("in namespace %s: %s", otherNamespace, line)
		}
	}
}
