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

// What config/ lets whom do, asked of a real API server.
func TestMain(m *testing.M) {
	testenv.Main(m, "config/default/namespace.yaml", "config/rbac", "config/admission", "config/release/rbac.yaml")
}

var (
	agentAccount      = types.NamespacedName{Namespace: "portreeve-system", Name: "portreeve-agent"}
	controllerAccount = types.NamespacedName{Namespace: "portreeve-system", Name: "portreeve-controller"}
	releaseAccount    = types.NamespacedName{Namespace: "portreeve-system", Name: "portreeve-release"}
)

// begin returns the API once the policies are in force there, which takes the API
// server a moment after they were written.
func begin(t *testing.T) *testenv.Env {
	t.Helper()
	env := testenv.Start(t)
	probe := &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: "policy-probe"}}
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "default", Name: "policy-probe"},
		InvolvedObject: corev1.ObjectReference{Namespace: "default"},
	}
	as := asUser(t, env, "system:serviceaccount:none:portreeve-agent", "system:masters")
	until(t, func() bool {
		return refused(env.Client.Create(t.Context(), probe.DeepCopy(), client.DryRunAll), "cannot be created manually") &&
			refused(as.Create(t.Context(), event.DeepCopy(), client.DryRunAll), "does not contain a node name")
	})
	controller := env.ClientFor(t, env.Token(t, controllerAccount, "controller-node"))
	if err := controller.Create(t.Context(), probe); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	until(t, func() bool {
		err := env.Client.Status().Patch(t.Context(), probe.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"status":{}}`)))
		return refused(err, "can only be written by the agent of its node")
	})
	return env
}

// asUser is a client of an administrator who acts as someone else.
func asUser(t *testing.T, env *testenv.Env, user string, groups ...string) client.Client {
	t.Helper()
	config := rest.CopyConfig(env.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	c, err := client.New(config, client.Options{Scheme: env.Scheme, Mapper: env.Client.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// openRBAC lets accounts do anything for the length of a test, so that what is refused
// is refused by the policies.
func openRBAC(t *testing.T, env *testenv.Env, probe client.Client, accounts ...types.NamespacedName) {
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
	may := func() bool { return probe.List(t.Context(), &corev1.NamespaceList{}) == nil }
	t.Cleanup(func() {
		if err := env.Client.Delete(context.WithoutCancel(t.Context()), binding); err != nil {
			t.Error(err)
		}
	})
	until(t, may)
}

// refused says whether err is a refusal in these words.
func refused(err error, words string) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), words)
}

// until waits for a condition, and gives up long after it should have come true.
func until(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("this did not come true in 2 minutes")
		}
	}
}
