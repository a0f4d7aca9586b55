package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestBadTuneFlagsAreRejectedInOneLine(t *testing.T) {
	for name, test := range map[string]struct{ flag, value, want string }{
		"An unknown scope":              {"--tune", "pods,host", `--tune "pods,host": must be `},
		"An unsupported key":            {"--allow", "net.ipv4.tcp_tw_recycle", `--allow "net.ipv4.tcp_tw_recycle": must be none, or keys of docs/reference/settings.md, separated by commas`},
		"A path as a key":               {"--allow", "../kernel/panic", `--allow "../kernel/panic": must be none, or keys`},
		"An invalid range of NodePorts": {"--node-port-range", "9-5", `--node-port-range "9-5": must be a range of ports from 1 to 65535`},
	} {
		t.Run(name, func(t *testing.T) {
			got := runCommand(t.Context(), nil, nil, "run", "--node-name", "n", test.flag, test.value)
			if got.code != exitUsage || !strings.Contains(got.stderr, test.want) || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestSysctlsOfAnotherNetworkAreNotTheHosts(t *testing.T) {
	root := t.TempDir()
	if reason := checkHostSysctls(root); !strings.Contains(reason, "needs hostNetwork: true") {
		t.Error(reason)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: the command runs in a network namespace of its own")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("unshare", "--net", self, "restore", "--state-dir", filepath.Join(root, "state"))
	c.Env = append(os.Environ(), asMain+"=1")
	out, err := c.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "are not the host's") {
		t.Errorf("%v %s", err, out)
	}
}

func TestRestoreWithAnEmptyJournal(t *testing.T) {
	if checkHostSysctls("/proc/sys") != "" {
		t.Skip("not in the host's network namespace")
	}
	dir := t.TempDir()
	for _, args := range [][]string{{"--dry-run"}, nil} {
		got := runCommand(t.Context(), nil, nil, append([]string{"restore", "--state-dir", dir}, args...)...)
		if got.code != 0 || got.stdout != "The journal has no settings to restore.\n" {
			t.Errorf("%+v", got)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "journal.json"), []byte(`{"version":9}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := runCommand(t.Context(), nil, nil, "restore", "--state-dir", dir); got.code != exitFailure || !strings.Contains(got.stderr, "the journal was written by a newer version: 9") {
		t.Errorf("%+v", got)
	}
}

func TestAStopFileBlocksChanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stop")
	if reason := checkStopFile(file); reason != "" {
		t.Error(reason)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if reason := checkStopFile(file); reason != "the file "+file+" stops every change" {
		t.Error(reason)
	}
	if reason := checkStopFile(filepath.Join(file, "below")); reason == "" {
		t.Error("a file that can't be checked does not block changes")
	}
}
