// Package apitest gives a test of the agent an API server of its own.
package apitest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Start starts etcd and kube-apiserver on loopback, and skips the test where they
// were not built. They die with the test, also when it is killed: setpriv sets the
// parent-death signal, which is sent when the thread that started them ends
// (prctl(2), PR_SET_PDEATHSIG).
func Start(t *testing.T) *rest.Config {
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
		out, err := exec.Command("bash", filepath.Join(root(t), "hack/cluster/build.sh"), "dir").Output()
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

// root is the module's folder.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, err = os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if up := filepath.Dir(dir); up != dir {
			dir, err = up, nil
		}
	}
	t.Fatal(err)
	return ""
}

// CRDs installs Portreeve's.
func CRDs(t *testing.T, config *rest.Config) {
	t.Helper()
	_, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{Paths: []string{filepath.Join(root(t), "config/crd")}, ErrorIfPathMissing: true})
	if err != nil {
		t.Fatal(err)
	}
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
