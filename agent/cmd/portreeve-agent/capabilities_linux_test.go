package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The agent runs as in a pod: without root, with both capabilities permitted by the file,
// and none effective.
func TestReportWorksWithTwoFileCapabilitiesAndNoRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a file capabilities")
	}
	dir := t.TempDir()
	for d := dir; d != filepath.Dir(d) && strings.HasPrefix(d, os.TempDir()+"/"); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil { // other users need access
			t.Fatal(err)
		}
	}
	bin := filepath.Join(dir, "portreeve-agent")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("can't build the agent here: %v: %s", err, out)
	}
	report := func(caps uint64, args ...string) (string, error) {
		if err := setFileCapabilities(bin, caps); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(bin, append([]string{"report", "--reader", "portwalk"}, args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := report(readerCapabilities); err != nil || !strings.Contains(out, "portwalk, exact") {
		t.Errorf("with both: %v: %s", err, out)
	}
	for name, caps := range map[string]uint64{"BPF": readerCapabilities &^ (1 << unix.CAP_BPF), "PERFMON": readerCapabilities &^ (1 << unix.CAP_PERFMON)} {
		out, err := report(caps)
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || !strings.Contains(out, "missing capabilities: "+name) {
			t.Errorf("without %s: %v: %s", name, err, out)
		}
	}

	if _, err := os.Stat("/proc/sys/net/netfilter/nf_conntrack_count"); err != nil {
		t.Skipf("conntrack is not in use here: %v", err)
	}
	const message = "needs NET_ADMIN"
	for name, with := range map[string]struct {
		caps  uint64
		args  []string
		lacks bool
	}{
		"NET_ADMIN for SNAT":           {readerCapabilities | snatCapabilities, []string{"--snat"}, false},
		"no NET_ADMIN for SNAT":        {readerCapabilities, []string{"--snat"}, true},
		"NET_ADMIN without --snat":     {readerCapabilities | snatCapabilities, nil, false},
		"no NET_ADMIN, without --snat": {readerCapabilities, nil, false},
	} {
		if out, err := report(with.caps, with.args...); err != nil || strings.Contains(out, message) != with.lacks {
			t.Errorf("with %s: %v: %s\nwant %q in it: %v", name, err, out, message, with.lacks)
		}
	}
}

// setFileCapabilities sets a file's capabilities of the kind "=p" (struct vfs_cap_data,
// revision 2, in include/uapi/linux/capability.h).
func setFileCapabilities(file string, caps uint64) error {
	le := func(v uint32) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)} }
	var data []byte
	for _, v := range []uint32{0x02000000, uint32(caps), 0, uint32(caps >> 32), 0} {
		data = append(data, le(v)...)
	}
	return unix.Setxattr(file, "security.capability", data, 0)
}
