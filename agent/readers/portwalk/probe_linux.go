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
	b, err := os.ReadFile("/sys/kernel/security/lockdown")
	if err == nil && strings.Contains(string(b), "[confidentiality]") {
		return fmt.Errorf("%w: mode confidentiality forbids BPF to read kernel memory; "+
			"boot with lockdown=integrity, or use --reader=sockdiag", ErrLockdown)
	}
	return nil
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
