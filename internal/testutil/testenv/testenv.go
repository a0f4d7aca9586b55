// Package testenv gives tests a real Kubernetes API server (package apiserver) with this
// repository's CRDs, and clients that have no more rights than the service account whose
// token they use: authorization is RBAC. Where the programs aren't built, tests that
// need them are skipped.
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
	"sync"
	"testing"

	"portreeve.io/portreeve/internal/testutil/apiserver"
)

// Env is an API server for tests.
type Env struct {
	*apiserver.Server
}

// shared is the API server of this test process, started by the first test that needs it.
var shared struct {
	once      sync.Once
	manifests []string
	env       *Env
	err       error
}

// Main runs the tests of a package, and then stops the shared API server. manifests are
// files and folders below the root of the repository that are applied once, after the
// CRDs.
func Main(m *testing.M, manifests ...string) {
	shared.manifests = manifests
	code := m.Run()
	if shared.env != nil {
		if err := shared.env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "testenv:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// Start returns the API server that all tests of this process share, for a package whose
// TestMain calls Main. Objects stay until the process ends: tests give theirs names of
// their own.
func Start(tb testing.TB) *Env {
	tb.Helper()
	shared.once.Do(func() { shared.env, shared.err = startEnv(tb.Context(), shared.manifests) })
	failOrSkip(tb, shared.err)
	return shared.env
}

// StartIsolated returns a new API server of this test alone, which is stopped with it.
func StartIsolated(tb testing.TB) *Env {
	tb.Helper()
	e, err := startEnv(tb.Context(), nil)
	failOrSkip(tb, err)
	tb.Cleanup(func() {
		if err := e.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

func failOrSkip(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, apiserver.ErrNotBuilt) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func startEnv(ctx context.Context, manifests []string) (*Env, error) {
	server, err := apiserver.Start(apiserver.Options{Name: "testenv", InstallCRDs: true})
	if err != nil {
		return nil, err
	}
	e := &Env{server}
	if err := e.applyAll(ctx, manifests); err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	return e, nil
}
