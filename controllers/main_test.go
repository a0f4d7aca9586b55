package controllers_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

// These tests check the permissions of config/ with a real API server.
func TestMain(m *testing.M) {
	testenv.Main(m, "config/default/namespace.yaml", "config/rbac", "config/admission", "config/release/rbac.yaml")
}

var (
	agentAccount      = types.NamespacedName{Namespace: "portreeve-system", Name: "portreeve-agent"}
	controllerAccount = types.NamespacedName{Namespace: "portreeve-system", Name: "portreeve-controller"}
	releaseAccount    = types.NamespacedName{Namespace: "portreeve-system", Name: "portreeve-release"}
)

// startAPI returns the API once the policies are in force, which takes the API server a
// moment after they are created.
func startAPI(t *testing.T) *testenv.Env {
	t.Helper()
	env := testenv.Start(t)
	probe := &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: "policy-probe"}}
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "default", Name: "policy-probe"},
		InvolvedObject: corev1.ObjectReference{Namespace: "default"},
	}
	as := impersonate(t, env, "system:serviceaccount:none:portreeve-agent", "system:masters")
	waitUntil(t, func() bool {
		return isRefused(env.Client.Create(t.Context(), probe.DeepCopy(), client.DryRunAll), "cannot be created manually") &&
			isRefused(as.Create(t.Context(), event.DeepCopy(), client.DryRunAll), "does not contain a node name")
	})
	controller := env.ClientFor(t, env.Token(t, controllerAccount, "controller-node"))
	if err := controller.Create(t.Context(), probe); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	waitUntil(t, func() bool {
		err := env.Client.Status().Patch(t.Context(), probe.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"status":{}}`)))
		return isRefused(err, "can only be written by the agent of its node")
	})
	return env
}

// impersonate returns a client of an administrator who impersonates a user.
func impersonate(t *testing.T, env *testenv.Env, user string, groups ...string) client.Client {
	t.Helper()
	config := rest.CopyConfig(env.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	c, err := client.New(config, client.Options{Scheme: env.Scheme, Mapper: env.Client.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// grantEverything grants the accounts all permissions during a test, so that only the
// policies can refuse.
func grantEverything(t *testing.T, env *testenv.Env, probe client.Client, accounts ...types.NamespacedName) {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "test-open"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
	}
	for _, a := range accounts {
		binding.Subjects = append(binding.Subjects, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: a.Namespace, Name: a.Name})
	}
	if err := env.Client.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	isGranted := func() bool { return probe.List(t.Context(), &corev1.NamespaceList{}) == nil }
	t.Cleanup(func() {
		if err := env.Client.Delete(context.WithoutCancel(t.Context()), binding); err != nil {
			t.Error(err)
		}
	})
	waitUntil(t, isGranted)
}

// isRefused reports whether err is a refusal that contains words.
func isRefused(err error, words string) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), words)
}

// waitUntil waits for a condition, and fails the test after 2 minutes.
func waitUntil(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("condition not met within 2 minutes")
		}
	}
}
