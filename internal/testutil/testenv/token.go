package testenv

import (
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/internal/testutil/apiserver"
)

// Token returns the token that a pod of the service account on the node would find
// mounted: bound to that pod, so that the node's name is in its claims (and in
// userInfo.extra, authentication.kubernetes.io/node-name). Service account, node and pod
// are created if they don't exist. With node "" the token is bound to nothing.
func (e *Env) Token(tb testing.TB, account types.NamespacedName, node string) string {
	tb.Helper()
	e.ensureAccount(tb, account)
	if node == "" {
		return e.requestToken(tb, account, nil)
	}
	e.ensureObject(tb, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}})
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: account.Namespace, Name: account.Name + "-" + node},
		Spec: corev1.PodSpec{
			NodeName:           node,
			ServiceAccountName: account.Name,
			Containers:         []corev1.Container{{Name: "main", Image: "none"}},
		},
	}
	e.ensureObject(tb, pod)
	return e.requestToken(tb, account, apiserver.PodReference(pod))
}

// NodeToken returns a token that is bound to the node itself, like one of kubectl create
// token --bound-object-kind Node. No pod has such a token.
func (e *Env) NodeToken(tb testing.TB, account types.NamespacedName, node string) string {
	tb.Helper()
	e.ensureAccount(tb, account)
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}
	e.ensureObject(tb, n)
	return e.requestToken(tb, account, &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Node", Name: node, UID: n.UID})
}

// ConfigFor returns a config with the token as its only credential.
func (e *Env) ConfigFor(token string) *rest.Config {
	config := rest.AnonymousClientConfig(e.Config)
	config.BearerToken = token
	return config
}

// ClientFor returns a client with the token as its only credential.
func (e *Env) ClientFor(tb testing.TB, token string) client.Client {
	tb.Helper()
	c, err := client.New(e.ConfigFor(token), client.Options{Scheme: e.Scheme, Mapper: e.Client.RESTMapper()})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func (e *Env) ensureAccount(tb testing.TB, account types.NamespacedName) {
	tb.Helper()
	e.ensureObject(tb, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: account.Namespace}})
	e.ensureObject(tb, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: account.Namespace, Name: account.Name}})
}

// ensureObject creates obj, or reads the object of that name.
func (e *Env) ensureObject(tb testing.TB, obj client.Object) {
	tb.Helper()
	err := e.Client.Create(tb.Context(), obj)
	if apierrors.IsAlreadyExists(err) {
		err = e.Client.Get(tb.Context(), client.ObjectKeyFromObject(obj), obj)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func (e *Env) requestToken(tb testing.TB, account types.NamespacedName, bound *authenticationv1.BoundObjectReference) string {
	tb.Helper()
	token, err := e.RequestToken(tb.Context(), account, bound)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}
