package controllers_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

func TestTheManifestsAreComplete(t *testing.T) {
	env := startAPI(t)
	objects := renderManifests(t, env, "resources: [../config/default]")
	var names []string
	for _, o := range objects {
		names = append(names, o.GetKind()+"/"+o.GetName())
		// The API server checks names, types and unknown fields.
		err := env.Client.Create(t.Context(), o.DeepCopy(), client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	for _, want := range []string{
		"Namespace/portreeve-system", "CustomResourceDefinition/portpressures.portreeve.io", "Deployment/portreeve-controller", "DaemonSet/portreeve-agent",
		"ServiceAccount/portreeve-agent", "ServiceAccount/portreeve-controller", "ClusterRole/portreeve-viewer", "ClusterRole/portreeve-tuner",
		"DaemonSet/portreeve-agent-windows", "PodDisruptionBudget/portreeve-controller",
		"ValidatingAdmissionPolicyBinding/portreeve-status", "ValidatingAdmissionPolicyBinding/portreeve-spec", "ValidatingAdmissionPolicyBinding/portreeve-agent-events",
		"ValidatingAdmissionPolicyBinding/portreeve-tuning-advice",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s in %q", want, names)
		}
	}
}

func TestPodsNeedOnlyTheirDeclaredPrivileges(t *testing.T) {
	env := startAPI(t)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "restricted", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	if err := env.Client.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	admit := func(spec corev1.PodSpec) error {
		spec.ServiceAccountName = ""
		return env.Client.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "restricted", Name: "p"}, Spec: spec}, client.DryRunAll)
	}
	objects := renderManifests(t, env, "resources: [../config/default]")
	deployment := findWorkload[appsv1.Deployment](t, objects, "portreeve-controller")
	agent := findWorkload[appsv1.DaemonSet](t, objects, "portreeve-agent").Spec.Template

	if err := admit(deployment.Spec.Template.Spec); err != nil {
		t.Errorf("the controller does not meet the restricted level: %v", err)
	}
	if err := admit(agent.Spec); !isRefused(err, `container "agent" must not include "BPF", "PERFMON"`) || strings.Contains(err.Error(), "hostPath") {
		t.Errorf("the agent does not miss the restricted level by exactly two capabilities: %v", err)
	}
	capabilities := &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"BPF", "PERFMON"}}
	if diff := cmp.Diff(capabilities, agent.Spec.Containers[0].SecurityContext.Capabilities); diff != "" {
		t.Errorf("the agent's capabilities (-want +got):\n%s", diff)
	}
	windows := findWorkload[appsv1.DaemonSet](t, objects, "portreeve-agent-windows")
	if err := admit(windows.Spec.Template.Spec); !isRefused(err, "hostProcess") {
		t.Errorf("the Windows agent is not refused as a HostProcess container: %v", err)
	}
	for name, set := range map[string]*appsv1.DaemonSet{"linux": findWorkload[appsv1.DaemonSet](t, objects, "portreeve-agent"), "windows": windows} {
		want := map[string]string{"portreeve.io/os": name} // so that neither DaemonSet selects the other's pods
		maps.Copy(want, v1alpha1.AgentPodLabels)
		for what, labels := range map[string]map[string]string{"pods": set.Spec.Template.Labels, "selector": set.Spec.Selector.MatchLabels} {
			if diff := cmp.Diff(want, labels); diff != "" {
				t.Errorf("the labels by which the controller finds the agent's pods differ: %s of %s (-want +got):\n%s", what, name, diff)
			}
		}
	}
}

func TestPodNamesRequireOneReadOnlyMount(t *testing.T) {
	env := startAPI(t)
	plain := findWorkload[appsv1.DaemonSet](t, renderManifests(t, env, "resources: [../config/default]"), "portreeve-agent")
	named := findWorkload[appsv1.DaemonSet](t, renderManifests(t, env, "resources: [../config/default]\ncomponents: [../config/components/pod-logs]"), "portreeve-agent")
	pod := &plain.Spec.Template.Spec
	pod.Volumes = []corev1.Volume{{Name: "pod-logs", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{
		Path: "/var/log/containers", Type: new(corev1.HostPathDirectoryOrCreate),
	}}}}
	pod.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "pod-logs", MountPath: "/var/log/containers", ReadOnly: true}}
	if diff := cmp.Diff(plain, named); diff != "" {
		t.Errorf("changes by the component (-want +got):\n%s", diff)
	}
}

// renderManifests renders a kustomization with paths relative to a folder beside config.
func renderManifests(t *testing.T, env *testenv.Env, kustomization string) (objects []*unstructured.Unstructured) {
	t.Helper()
	programs, err := exec.Command("bash", filepath.Join(env.Root, "hack", "cluster", "build.sh"), "dir").Output()
	if err != nil {
		t.Fatal(err)
	}
	kubectl := filepath.Join(strings.TrimSpace(string(programs)), "kubectl")
	if _, err := os.Stat(kubectl); err != nil {
		t.Skip("needs kubectl; build it once (minutes): hack/cluster/build.sh kubectl")
	}
	dir := t.TempDir()
	root, err := filepath.Rel(dir, env.Root)
	if err != nil {
		t.Fatal(err)
	}
	text := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n" + strings.ReplaceAll(kustomization, "[../", "["+root+"/") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), kubectl, "kustomize", dir)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("kubectl kustomize: %v\n%s", err, &stderr)
	}
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(out), 4096); ; {
		o := &unstructured.Unstructured{}
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
}

// findWorkload returns the only workload with the name.
func findWorkload[T any](t *testing.T, objects []*unstructured.Unstructured, name string) *T {
	t.Helper()
	found := slices.DeleteFunc(slices.Clone(objects), func(o *unstructured.Unstructured) bool {
		return o.GroupVersionKind().Group != appsv1.GroupName || o.GetName() != name
	})
	if len(found) != 1 {
		t.Fatalf("%d workloads %s", len(found), name)
	}
	got := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found[0].Object, got); err != nil {
		t.Fatal(err)
	}
	return got
}
