package portwalk

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Reasons why portwalk cannot run on this machine.
var (
	ErrNoBTF        = errors.New("the kernel has no BTF")
	ErrCapabilities = errors.New("missing capabilities")
	ErrLockdown     = errors.New("the kernel is locked down")
	ErrKernel       = errors.New("the kernel rejected the BPF programs")
	ErrBPFDenied    = errors.New("bpf() is denied although the process has the capabilities for it")
)

const btfPath = "/sys/kernel/btf/vmlinux"

// requiredCapability is a capability that the programs need: BPF to load them, PERFMON
// to let them read kernel memory. SYS_ADMIN implies both (include/linux/capability.h).
type requiredCapability struct {
	name string
	bit  uint
}

var requiredCapabilities = []requiredCapability{{"BPF", unix.CAP_BPF}, {"PERFMON", unix.CAP_PERFMON}}

// checkKernelSupport returns an error if the programs can be expected not to load. The
// kernel's own error for a missing capability is EINVAL, or a hint at the memory lock
// limit.
func checkKernelSupport() error {
	if _, err := os.Stat(btfPath); err != nil {
		return fmt.Errorf("%w: no %s (CONFIG_DEBUG_INFO_BTF)", ErrNoBTF, btfPath)
	}
	have, err := readEffectiveCapabilities()
	if err != nil {
		return fmt.Errorf("read own capabilities: %w", err)
	}
	if missing := listMissingCapabilities(have); len(missing) > 0 {
		return fmt.Errorf("%w: %s", ErrCapabilities, strings.Join(missing, ", "))
	}
	// The kernel itself returns EINVAL for a command that does not exist.
	if _, _, errno := unix.Syscall(unix.SYS_BPF, 1<<16, 0, 0); errno != unix.EINVAL {
		return fmt.Errorf("%w: %w: the container's seccomp profile or a security module forbids it; "+
			"RuntimeDefault allows it since containerd 1.6.9, Docker 23 and containers/common 0.60", ErrBPFDenied, errno)
	}
	b, err := os.ReadFile("/sys/kernel/security/lockdown")
	if err == nil && strings.Contains(string(b), "[confidentiality]") {
		return fmt.Errorf("%w: mode confidentiality forbids BPF to read kernel memory; "+
			"boot with lockdown=integrity, or use --reader=sockdiag", ErrLockdown)
	}
	return nil
}

// raiseLockedMemoryLimit raises RLIMIT_MEMLOCK as far as permitted. Before Linux 5.11 it
// limits the memory of all BPF programs and maps of one user; later it has no effect.
func raiseLockedMemoryLimit() {
	unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unlimited) == nil { // needs CAP_SYS_RESOURCE
		return
	}
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l) == nil {
		_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: l.Max, Max: l.Max})
	}
}

// explainLoadError adds the limit of locked memory and the remedy to an error that it can
// have caused.
func explainLoadError(err error) error {
	var l unix.Rlimit
	if !errors.Is(err, unix.EPERM) || unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l) != nil || l.Cur == unix.RLIM_INFINITY {
		return err
	}
	return fmt.Errorf("before Linux 5.11, BPF maps count as locked memory, which is limited to %d KiB; raise LimitMEMLOCK "+
		"of the container runtime to at least 8 MiB, or add the capability SYS_RESOURCE: %w", l.Cur>>10, err)
}

func listMissingCapabilities(have uint64) []string {
	if have&(1<<unix.CAP_SYS_ADMIN) != 0 {
		return nil
	}
	var missing []string
	for _, c := range requiredCapabilities {
		if have&(1<<c.bit) == 0 {
			missing = append(missing, c.name)
		}
	}
	return missing
}

// readEffectiveCapabilities returns the calling thread's effective capability set.
func readEffectiveCapabilities() (uint64, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, err
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), nil
}
