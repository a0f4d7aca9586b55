package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/apiserver"
)

// TestAdviceReservesServicesAndIsApplied prints the advice about all nodes with the rights
// of a viewer who may also list pods, and has the API server's own kubectl apply it.
func TestAdviceReservesServicesAndIsApplied(t *testing.T) {
	env, admin := createScenario(t)
	for name, port := range map[string]int32{"web": 30123, "db": 32000} {
		createObject(t, env, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{
				{Port: 80, TargetPort: intstr.FromInt32(8080), NodePort: port}}},
		})
	}
	writePressure(t, env, "node-d", v1alpha1.PortPressureSpec{}, newStatus(60, "", ""))
	createObject(t, env, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "gateway", Labels: map[string]string{"app": "gateway"}},
		Spec: corev1.PodSpec{NodeName: "node-d", Containers: []corev1.Container{
			{Name: "main", Image: "none", Ports: []corev1.ContainerPort{{ContainerPort: 80, HostPort: 20080}}}}},
	})
	account := types.NamespacedName{Namespace: "plugin-advise", Name: "someone"}
	viewer := writeKubeconfig(t, env.ConfigFor(env.Token(t, account, "")), "default")
	createObject(t, env, &rbacv1.ClusterRole{ // nothing aggregates the rules of view here
		ObjectMeta: metav1.ObjectMeta{Name: "list-pods"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}}},
	})
	for _, role := range []string{"portreeve-viewer", "list-pods"} {
		createObject(t, env, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "advise-" + role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account.Namespace, Name: account.Name}},
		})
		if role == "portreeve-viewer" {
			waitUntil(t, func() bool { _, _, code := run(t, "top", "--kubeconfig", viewer); return code == 0 })
			out, errOut, code := run(t, "advise", "node-d", "--kubeconfig", viewer)
			if code != 0 || strings.Contains(out, "20080") || !strings.Contains(errOut, "note: no permission to list pods") || strings.Contains(errOut, "services") {
				t.Errorf("a viewer: exit code %d, %q, %s", code, errOut, out)
			}
		}
	}
	waitUntil(t, func() bool {
		_, errOut, code := run(t, "advise", "node-d", "--kubeconfig", viewer)
		return code == 0 && errOut == ""
	})
	out, _, _ := run(t, "advise", "node-d", "--kubeconfig", viewer)
	var tuning v1alpha1.NodeTuning
	if err := yaml.UnmarshalStrict([]byte(out), &tuning); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(tuning.Spec.Linux.ReservedPorts, ","); got != "20080,30000-32767" || !strings.Contains(out, "20080 is of pod default/gateway") {
		t.Errorf("reserved %s, from\n%s", got, out)
	}
	all, errOut, code := run(t, "advise", "--all", "--kubeconfig", viewer)
	if code != 0 || strings.Count(all, "kind: NodeTuning") != 3 {
		t.Fatalf("exit code %d, %s, %s", code, errOut, all)
	}
	root, err := apiserver.FindRoot()
	if err != nil {
		t.Fatal(err)
	}
	programs, err := apiserver.FindPrograms(root)
	if err != nil {
		t.Fatal(err)
	}
	apply := exec.Command(filepath.Join(programs, "kubectl"), "--kubeconfig", admin, "apply", "--dry-run=server", "-f", "-")
	apply.Stdin = strings.NewReader(all)
	applied, err := apply.CombinedOutput()
	if err != nil || strings.Count(string(applied), "created (server dry run)") != 3 {
		t.Errorf("%v: %s, from\n%s", err, applied, all)
	}
}
