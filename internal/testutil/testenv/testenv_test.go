package testenv

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"portreeve.io/portreeve/api/v1alpha1"
)

func TestMain(m *testing.M) { Main(m) }

var account = types.NamespacedName{Namespace: "testenv", Name: "someone"}

func TestATokenNamesWhatItIsBoundTo(t *testing.T) {
	env := Start(t)
	tests := map[string]struct {
		token string
		node  string
	}{
		"a pod's token names the pod's node":  {env.Token(t, account, "node-a"), "node-a"},
		"a second token of the pod names it":  {env.Token(t, account, "node-a"), "node-a"},
		"a node's token names the node":       {env.NodeToken(t, account, "node-b"), "node-b"},
		"a token bound to nothing names none": {env.Token(t, account, ""), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			review := &authenticationv1.SelfSubjectReview{}
			if err := env.ClientFor(t, tt.token).Create(t.Context(), review); err != nil {
				t.Fatal(err)
			}
			user := review.Status.UserInfo
			if want := "system:serviceaccount:testenv:someone"; user.Username != want {
				t.Errorf("user is %q, want %q", user.Username, want)
			}
			got := strings.Join(user.Extra["authentication.kubernetes.io/node-name"], ",")
			if got != tt.node {
				t.Errorf("node is %q, want %q", got, tt.node)
			}
		})
	}
}

func TestAServiceAccountHasNoRightsUnlessGiven(t *testing.T) {
	env := Start(t)
	c := env.ClientFor(t, env.Token(t, account, "node-a"))
	if err := c.List(t.Context(), &corev1.NodeList{}); !apierrors.IsForbidden(err) {
		t.Errorf("list nodes: %v, want Forbidden", err)
	}
}

func TestTheCRDsAreInstalled(t *testing.T) {
	env := Start(t)
	pp := &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: "testenv-crd"}}
	if err := env.Client.Create(t.Context(), pp); err != nil {
		t.Fatal(err)
	}
	if err := env.Client.Delete(t.Context(), pp); err != nil {
		t.Fatal(err)
	}
}

func TestManifestsOfAFolderAreAppliedNamespacesFirst(t *testing.T) {
	env := Start(t)
	env.ApplyManifests(t, "internal/testutil/testenv/testdata")
	for _, name := range []string{"first", "second"} {
		got := &corev1.ConfigMap{}
		if err := env.Client.Get(t.Context(), types.NamespacedName{Namespace: "testenv-manifests", Name: name}, got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"key": name}, got.Data); diff != "" {
			t.Errorf("data (-want +got):\n%s", diff)
		}
	}
}

func TestAFolderWithoutManifestsIsAnError(t *testing.T) {
	for name, path := range map[string]string{"no YAML in it": ".", "no such folder": "testdata/none"} {
		t.Run(name, func(t *testing.T) {
			if path == "." {
				path = t.TempDir()
			}
			if objects, err := readManifests(path); err == nil {
				t.Errorf("read %d objects, want an error", len(objects))
			}
		})
	}
}
