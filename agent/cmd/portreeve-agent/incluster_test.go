package main

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

func TestResolveMount(t *testing.T) {
	tests := map[string]struct {
		sandbox  string
		existing []string
		want     string
	}{
		"at the mountPath, in a container":                   {want: accountFolder},
		"at the mountPath, since containerd 1.7":             {`C:\hpc`, []string{accountFolder}, accountFolder},
		"below the sandbox, with containerd 1.6":             {`C:\C\0a1b`, []string{`C:\C\0a1b` + accountFolder}, `C:\C\0a1b` + accountFolder},
		"below the sandbox, although the host has that path": {`C:\C\0a1b\`, []string{`C:\C\0a1b` + accountFolder, accountFolder}, `C:\C\0a1b` + accountFolder},
		"nowhere: the mountPath is returned":                 {sandbox: `C:\C\0a1b`, want: accountFolder},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			existing := map[string]bool{}
			for _, path := range tt.existing {
				existing[path] = true
			}
			if got := resolveMount(tt.sandbox, accountFolder, func(path string) bool { return existing[path] }); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// newSandbox creates a folder as containerd 1.6 does, with a service account's files.
func newSandbox(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	folder := filepath.Join(dir, filepath.FromSlash(accountFolder))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The account below a sandbox is used as rest.InClusterConfig uses it: the server receives
// its token.
func TestAnAccountBelowASandboxIsUsed(t *testing.T) {
	seen := make(chan string, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header.Get("Authorization") }))
	defer server.Close()
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	dir := newSandbox(t, map[string]string{"token": "secret", "namespace": "netops\n", "ca.crt": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))})
	env := map[string]string{sandboxVariable: dir, "KUBERNETES_SERVICE_HOST": address.Hostname(), "KUBERNETES_SERVICE_PORT": address.Port()}
	a := &app{getenv: func(name string) string { return env[name] }}

	config, err := a.loadInClusterConfig()
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Get(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if got := <-seen; got != "Bearer secret" {
		t.Errorf("the server saw %q", got)
	}
	if got := (&runner{app: a}).findOwnNamespace(); got != "netops" {
		t.Errorf("the namespace is %q", got)
	}
	if got := (&runner{app: a, kubeconfig: "f"}).findOwnNamespace(); got != defaultNamespace {
		t.Errorf("outside of a pod the namespace is %q", got)
	}
}

func TestAnIncompleteAccountIsAnError(t *testing.T) {
	for name, tt := range map[string]struct {
		env  map[string]string
		want string
	}{
		"no API server": {nil, rest.ErrNotInCluster.Error()},
		"no token":      {map[string]string{"KUBERNETES_SERVICE_HOST": "::1", "KUBERNETES_SERVICE_PORT": "443"}, "read the service account's token: open "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := loadAccountConfig(dir, func(name string) string { return tt.env[name] })
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}
