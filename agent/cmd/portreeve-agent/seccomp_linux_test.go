package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"portreeve.io/portreeve/api/v1alpha1"
)

// seccompProfile is a profile in the format of the kubelet's folder seccomp, which is that of
// the OCI runtime specification (config-linux.md, Seccomp).
type seccompProfile map[string]any

func readSeccompProfile(t *testing.T) (p seccompProfile) {
	t.Helper()
	data, err := os.ReadFile("../../../docs/portreeve-agent.seccomp.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// without returns p without the permission for a system call.
func (p seccompProfile) without(call string) seccompProfile {
	names := p["syscalls"].([]any)[0].(map[string]any)["names"].([]any)
	p["syscalls"] = []any{map[string]any{
		"action": "SCMP_ACT_ALLOW",
		"names":  slices.DeleteFunc(slices.Clone(names), func(n any) bool { return n == call }),
	}}
	return p
}

// runInContainer runs the agent in a container with a seccomp profile and the capabilities that
// the chart grants, and returns its report.
func runInContainer(t *testing.T, program string, profile seccompProfile, args ...string) v1alpha1.PortPressure {
	t.Helper()
	bundle := t.TempDir()
	for _, folder := range []string{"rootfs/proc", "rootfs/sys", "rootfs/tmp"} {
		if err := os.MkdirAll(filepath.Join(bundle, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(program, filepath.Join(bundle, "rootfs/agent")); err != nil {
		t.Fatal(err)
	}
	capabilities := []string{"CAP_BPF", "CAP_PERFMON"}
	config := map[string]any{
		"ociVersion": "1.0.2",
		"root":       map[string]any{"path": "rootfs", "readonly": true},
		"process": map[string]any{
			"args": append([]string{"/agent"}, args...), "cwd": "/",
			"user":            map[string]any{"uid": 65532, "gid": 65532},
			"noNewPrivileges": true,
			"capabilities":    map[string]any{"bounding": capabilities, "permitted": capabilities, "effective": capabilities, "inheritable": capabilities, "ambient": capabilities},
		},
		"mounts": []any{
			map[string]any{"destination": "/proc", "type": "proc", "source": "proc"},
			map[string]any{"destination": "/sys", "type": "bind", "source": "/sys", "options": []string{"rbind", "ro"}},
		},
		"linux": map[string]any{
			"namespaces": []any{map[string]any{"type": "pid"}, map[string]any{"type": "mount"}, map[string]any{"type": "ipc"}},
			"seccomp":    profile,
		},
	}
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	state, name := filepath.Join(bundle, "state"), fmt.Sprintf("portreeve-seccomp-%d", os.Getpid())
	var stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), "runc", "--root", state, "run", "--bundle", bundle, name)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	t.Cleanup(func() { _ = exec.Command("runc", "--root", state, "delete", "--force", name).Run() }) // usually gone
	if err != nil {
		t.Fatalf("%v: %s%s", err, stderr.String(), out)
	}
	var p v1alpha1.PortPressure
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return p
}

func TestTheSeccompProfileAllowsWhatTheAgentUses(t *testing.T) {
	if _, err := exec.LookPath("runc"); os.Geteuid() != 0 || err != nil {
		t.Skip("needs root and runc (make deps): the test runs a container")
	}
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		t.Skip("the kernel has no BTF")
	}
	program := filepath.Join(t.TempDir(), "agent")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // the container has no libraries
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := runInContainer(t, program, readSeccompProfile(t), "report", "-o", "json")
	if p.Status.Reader.Name != "portwalk" {
		t.Errorf("%+v", p.Status.Reader)
	}
	p = runInContainer(t, program, readSeccompProfile(t).without("bpf"), "report", "-o", "json")
	if r := p.Status.Reader; r.Name != "sockdiag" || !strings.Contains(r.Message, "seccomp profile") {
		t.Errorf("without bpf(): %+v", r)
	}
}
