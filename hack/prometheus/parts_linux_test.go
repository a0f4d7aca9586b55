package prometheus

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/internal/testutil/testnet"
)

// space is a network namespace that goes with the test.
func space(t *testing.T) *testnet.Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the test makes network namespaces")
	}
	s, err := testnet.New()
	if errors.Is(err, unix.EPERM) {
		t.Skipf("needs CAP_SYS_ADMIN and CAP_NET_ADMIN: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the namespace: %v", err)
		}
	})
	return s
}

func build(t *testing.T, path, folder string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", path, folder)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// manage starts Alertmanager. Debian's reads its templates from /usr/share, where a
// package that is only unpacked isn't: it gets a /usr/share of its own.
func manage(t *testing.T, s *testnet.Namespace, config string) {
	t.Helper()
	path := program(t, "prometheus-alertmanager")
	share := filepath.Join(filepath.Dir(path), "..", "share")
	run(t, s.Start, "unshare", "--mount", "--", "sh", "-ec", `mount --bind "$1" /usr/share; shift; exec "$@"`, "sh", share,
		path, "--config.file="+config, "--web.listen-address="+alertmanagerAt, "--storage.path="+t.TempDir(), "--cluster.listen-address=", "--log.level=warn")
	alertmanager := server{"http://" + alertmanagerAt, within(s)}
	await(t, "Alertmanager", func() error { return alertmanager.get("/-/ready", nil) })
}

// within is a client whose connections are made in the namespace.
func within(s *testnet.Namespace) *http.Client {
	dial := func(_ context.Context, network, address string) (c net.Conn, err error) {
		s.Do(func() { c, err = net.Dial(network, address) })
		return c, err
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

var (
	minutes = regexp.MustCompile(`\b(\d+)m\b`)
	seconds = regexp.MustCompile(`\b\d+s\b`)
	hook    = regexp.MustCompile(`http://\S+/alerts`)
)

// compressed are the rules with a second for each minute.
func compressed(t *testing.T) string {
	t.Helper()
	return changed(t, "portreeve.rules.yaml", func(text string) string { return minutes.ReplaceAllString(text, "${1}s") })
}

// routed is examples/alertmanager.yaml with the test's webhook, and the shortest waits.
func routed(t *testing.T) string {
	t.Helper()
	return changed(t, filepath.Join("examples", "alertmanager.yaml"), func(text string) string {
		return hook.ReplaceAllString(minutes.ReplaceAllString(seconds.ReplaceAllString(text, "1s"), "1s"), "http://"+receiverAt+"/alerts")
	})
}

// changed is a copy of a file of config/prometheus after change, which has to do
// something.
func changed(t *testing.T, name string, change func(string) string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, Config, name))
	if err != nil {
		t.Fatal(err)
	}
	after := change(string(text))
	if after == string(text) {
		t.Fatalf("%s has nothing to change: is this its shape?", name)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(name))
	if err := os.WriteFile(path, []byte(after), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// nowhere is a kubeconfig of an API server that isn't there: the agent measures on.
func nowhere(t *testing.T) string {
	t.Helper()
	return write(t, "kubeconfig", map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "none",
		"clusters": []any{map[string]any{"name": "none", "cluster": map[string]string{"server": "http://127.0.0.1:1"}}},
		"contexts": []any{map[string]any{"name": "none", "context": map[string]string{"cluster": "none"}}},
	})
}
