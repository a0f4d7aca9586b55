package podnames

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"portreeve.io/portreeve/internal/testutil/testenv"
)

// A real API server selects by node even if only metadata is requested, and streams the
// existing pods.
func TestWatchOfARealServer(t *testing.T) {
	config := testenv.StartIsolated(t).Config
	client := kubernetes.NewForConfigOrDie(config)
	before := createPod(t, client, "before", "node-a", nil)
	elsewhere := createPod(t, client, "elsewhere", "node-b", nil)
	createPod(t, client, "etcd", "node-a", map[string]string{annotationHash: static, annotationMirror: static})

	s, err := WatchPods(t.Context(), config, "node-a")
	if err != nil {
		t.Fatal(err)
	}
	waitForName(t, s, before, "default/before")
	waitForName(t, s, static, "default/etcd")
	after := createPod(t, client, "after", "node-a", nil)
	waitForName(t, s, after, "default/after")
	expectName(t, s, elsewhere, "")

	now := int64(0)
	if err := client.CoreV1().Pods("default").Delete(t.Context(), "before", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	waitForName(t, s, before, "")
}

// createPod creates a pod and returns its UID.
func createPod(t *testing.T, client kubernetes.Interface, name, node string, annotations map[string]string) string {
	t.Helper()
	off := false
	p, err := client.CoreV1().Pods("default").Create(context.WithoutCancel(t.Context()), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
		Spec: corev1.PodSpec{
			NodeName: node, AutomountServiceAccountToken: &off,
			Containers: []corev1.Container{{Name: "app", Image: "app"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return string(p.UID)
}
