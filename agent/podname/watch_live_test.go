package podname

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// realServer starts etcd and kube-apiserver on loopback. They die with the test,
// also when it is killed: setpriv sets the parent-death signal, which is sent when
// the thread that started them ends (prctl(2), PR_SET_PDEATHSIG).
func realServer(t *testing.T) *rest.Config {
	t.Helper()
	runtime.LockOSThread()
	assets := programs(t)
	env := &envtest.Environment{BinaryAssetsDirectory: assets}
	env.ControlPlane.GetAPIServer().Path = leash(t, filepath.Join(assets, "kube-apiserver"))
	env.ControlPlane.Etcd = &envtest.Etcd{Path: leash(t, filepath.Join(assets, "etcd"))}
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	return config
}

// programs is the folder of etcd and kube-apiserver.
func programs(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	if dir == "" {
		out, err := exec.Command("bash", "../../hack/cluster/build.sh", "dir").Output()
		if err != nil {
			t.Skipf("where is kube-apiserver? hack/cluster/build.sh dir: %v", err)
		}
		dir = strings.TrimSpace(string(out))
	}
	if _, err := os.Stat(filepath.Join(dir, "kube-apiserver")); err != nil {
		t.Skipf("needs kube-apiserver and etcd (hack/cluster/build.sh builds them): %v", err)
	}
	return dir
}

func leash(t *testing.T, program string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(program))
	script := "#!/bin/sh\nexec setpriv --pdeathsig KILL -- '" + program + "' \"$@\"\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// A real API server selects by node also when only metadata is asked for, and
// streams what is there already.
func TestWatchOfARealServer(t *testing.T) {
	config := realServer(t)
	client := kubernetes.NewForConfigOrDie(config)
	before := create(t, client, "before", "node-a", nil)
	elsewhere := create(t, client, "elsewhere", "node-b", nil)
	create(t, client, "etcd", "node-a", map[string]string{annotationHash: static, annotationMirror: static})

	s, err := Watch(t.Context(), config, "node-a")
	if err != nil {
		t.Fatal(err)
	}
	until(t, s, before, "default/before")
	until(t, s, static, "default/etcd")
	after := create(t, client, "after", "node-a", nil)
	until(t, s, after, "default/after")
	expect(t, s, elsewhere, "")

	now := int64(0)
	if err := client.CoreV1().Pods("default").Delete(t.Context(), "before", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	until(t, s, before, "")
}

// create makes a pod and gives its UID.
func create(t *testing.T, client kubernetes.Interface, name, node string, annotations map[string]string) string {
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
