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

// newNetns creates a network namespace for the duration of the test.
func newNetns(t *testing.T) *testnet.Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to create network namespaces")
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

func buildProgram(t *testing.T, path, folder string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", path, folder)
	cmd.Dir, cmd.Env = repositoryRoot, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// startAlertmanager starts Debian's Alertmanager. It reads templates from /usr/share, so the
// unpacked package is mounted there in a mount namespace.
func startAlertmanager(t *testing.T, s *testnet.Namespace, config string) {
	t.Helper()
	path := findProgram(t, "prometheus-alertmanager")
	share := filepath.Join(filepath.Dir(path), "..", "share")
	startProgram(t, s.Start, "unshare", "--mount", "--", "sh", "-ec", `mount --bind "$1" /usr/share; shift; exec "$@"`, "sh", share,
		path, "--config.file="+config, "--web.listen-address="+alertmanagerAddress, "--storage.path="+t.TempDir(), "--cluster.listen-address=", "--log.level=warn")
	alertmanager := prometheusServer{"http://" + alertmanagerAddress, newNetnsClient(s)}
	waitFor(t, "Alertmanager", func() error { return alertmanager.getJSON("/-/ready", nil) })
}

// newNetnsClient returns a client that connects inside the namespace.
func newNetnsClient(s *testnet.Namespace) *http.Client {
	dial := func(_ context.Context, network, address string) (c net.Conn, err error) {
		s.Do(func() { c, err = net.Dial(network, address) })
		return c, err
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

var (
	minutesPattern = regexp.MustCompile(`\b(\d+)m\b`)
	secondsPattern = regexp.MustCompile(`\b\d+s\b`)
	webhookPattern = regexp.MustCompile(`http://\S+/alerts`)
)

// writeAcceleratedRules writes the rules with minutes replaced by seconds.
func writeAcceleratedRules(t *testing.T) string {
	t.Helper()
	return writeModifiedCopy(t, "portreeve.rules.yaml", func(text string) string { return minutesPattern.ReplaceAllString(text, "${1}s") })
}

// writeAlertmanagerConfig writes examples/alertmanager.yaml with the webhook of the test and
// waits of one second.
func writeAlertmanagerConfig(t *testing.T) string {
	t.Helper()
	return writeModifiedCopy(t, filepath.Join("examples", "alertmanager.yaml"), func(text string) string {
		return webhookPattern.ReplaceAllString(minutesPattern.ReplaceAllString(secondsPattern.ReplaceAllString(text, "1s"), "1s"), "http://"+webhookAddress+"/alerts")
	})
}

// writeModifiedCopy writes a copy of a file of config/prometheus modified by change, and
// fails if change has no effect.
func writeModifiedCopy(t *testing.T, name string, change func(string) string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repositoryRoot, ConfigDir, name))
	if err != nil {
		t.Fatal(err)
	}
	after := change(string(text))
	if after == string(text) {
		t.Fatalf("%s is not modified: has its format changed?", name)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(name))
	if err := os.WriteFile(path, []byte(after), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// writeUnreachableKubeconfig writes a kubeconfig for an API server that does not exist; the
// agent measures anyway.
func writeUnreachableKubeconfig(t *testing.T) string {
	t.Helper()
	return writeYAML(t, "kubeconfig", map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "none",
		"clusters": []any{map[string]any{"name": "none", "cluster": map[string]string{"server": "http://127.0.0.1:1"}}},
		"contexts": []any{map[string]any{"name": "none", "context": map[string]string{"cluster": "none"}}},
	})
}
