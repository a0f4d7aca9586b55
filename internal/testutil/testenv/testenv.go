// Package testenv gives tests one real Kubernetes API (kube-apiserver and etcd) for
// each test process, with this repository's CRDs, and clients that have no more
// rights than the service account whose token they hold: authorization is RBAC.
//
// It builds nothing. hack/cluster/build.sh builds the two programs; without them
// the tests that ask for the API skip themselves, and say so.
//
//	func TestMain(m *testing.M) { testenv.Main(m, "config/rbac", "config/admission") }
//
//	func TestStatusOfAnotherNodeIsRefused(t *testing.T) {
//		env := testenv.Start(t)
//		agent := env.ClientFor(t, env.Token(t, serviceAccount, "node-a"))
package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	apiruntime "k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Env is the API of this test process. Objects stay until the process ends: tests
// that share it name theirs apart.
type Env struct {
	// Config is a cluster administrator's, Client made from it.
	Config *rest.Config
	Client client.Client
	// Scheme has Kubernetes' own kinds and portreeve.io's.
	Scheme *apiruntime.Scheme
	// Root is the folder of the repository.
	Root string

	control *envtest.Environment
	dir     string
}

// environment is started by the first test that asks.
var environment struct {
	once      sync.Once
	manifests []string
	env       *Env
	err       error
}

// Main runs the tests of a package, and stops the API when they are through.
// manifests are files and folders below the root of the repository that are
// applied once, after the CRDs.
func Main(m *testing.M, manifests ...string) {
	environment.manifests = manifests
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Start returns the API of this process, started on the first call. It skips the
// test where the programs aren't built.
func Start(tb testing.TB) *Env {
	tb.Helper()
	environment.once.Do(func() { environment.env, environment.err = startOnOwnThread(tb.Context(), environment.manifests) })
	if errors.Is(environment.err, errNotBuilt) {
		tb.Skip(environment.err)
	}
	if environment.err != nil {
		tb.Fatal(environment.err)
	}
	return environment.env
}

// startOnOwnThread keeps the thread that starts the programs for as long as this
// process lives: the kernel sends their parent-death signal when that thread ends
// (prctl(2), PR_SET_PDEATHSIG), and a test may well end its threads.
func startOnOwnThread(ctx context.Context, manifests []string) (env *Env, err error) {
	started := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		env, err = start(ctx, manifests)
		close(started)
		select {}
	}()
	<-started
	return env, err
}

func start(ctx context.Context, manifests []string) (*Env, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	programs, err := findPrograms(root)
	if err != nil {
		return nil, err
	}
	e := &Env{Root: root, Scheme: apiruntime.NewScheme()}
	if err := errors.Join(clientgoscheme.AddToScheme(e.Scheme), v1alpha1.AddToScheme(e.Scheme)); err != nil {
		return nil, err
	}
	if e.dir, err = makeDir(os.TempDir()); err != nil {
		return nil, err
	}
	if err := e.run(ctx, programs, manifests); err != nil {
		return nil, errors.Join(err, e.stop())
	}
	return e, nil
}

func (e *Env) run(ctx context.Context, programs string, manifests []string) (err error) {
	e.control = &envtest.Environment{
		Scheme:                e.Scheme,
		CRDDirectoryPaths:     []string{filepath.Join(e.Root, "config", "crd")},
		ErrorIfCRDPathMissing: true,
	}
	if err := configure(e.control, programs, e.dir); err != nil {
		return err
	}
	if e.Config, err = e.control.Start(); err != nil {
		return fmt.Errorf("start kube-apiserver and etcd of %s: %w", programs, err)
	}
	if e.Client, err = client.New(e.Config, client.Options{Scheme: e.Scheme}); err != nil {
		return err
	}
	return e.apply(ctx, manifests)
}

func stop() error {
	if environment.env == nil {
		return nil
	}
	return environment.env.stop()
}

func (e *Env) stop() error {
	var err error
	if e.control != nil {
		err = e.control.Stop()
	}
	return errors.Join(err, os.RemoveAll(e.dir))
}
