package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"portreeve.io/portreeve/agent/tuning"
	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/agent/tuning/sysctl"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// newTuneOptions returns the tuner's options for this machine.
func newTuneOptions(t *tuneFlags) (tuning.Options, error) {
	boot, err := readBootID()
	if err != nil {
		return tuning.Options{}, fmt.Errorf("--tune %s: the boot ID is needed, to know which settings a restart has reset: %w", t.scope.value, err)
	}
	host := sysctl.Store{Root: t.sysctlRoot}
	return tuning.Options{
		Disk:           func() (journal.Disk, error) { return journal.OpenDir(t.stateDir) },
		Host:           host,
		Boot:           boot,
		Kernel:         readKernelRelease(),
		Allow:          t.allowedKeys,
		Protect:        append([]plan.Protected{t.protectNodePorts()}, plan.SystemPorts...),
		Listeners:      func() ([]ports.Range, error) { return sysctl.ReadListeners(host.Read) },
		Stopped:        func() string { return checkStopFile(t.stopFile) },
		DisabledReason: t.checkHostNetwork(),
	}, nil
}

func findDefaultStateDir() string { return "/var/lib/portreeve" }

// newMeasureOptions returns the options of a tuner that changes nothing.
func newMeasureOptions() tuning.Options {
	boot, _ := readBootID() // without it, no restart of the node is detected
	return tuning.Options{OS: settings.Linux, Boot: boot}
}

// watchSettings does nothing: sysctls are read with every sample.
func watchSettings(*slog.Logger, func()) []func(context.Context) { return nil }

// checkHostSysctls returns the reason why the sysctls below root are not the host's, empty
// if they are. A procfs shows each process those of its own network namespace, and only the
// initial one has netdev_max_backlog (net/core/sysctl_net_core.c, net_core_table).
func checkHostSysctls(root string) string {
	_, err := os.Stat(filepath.Join(root, "net/core/netdev_max_backlog"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "the sysctls below --sysctl-root " + root + " are not the host's: --tune host needs hostNetwork: true, and the host's /proc/sys/net mounted there"
	case err != nil:
		return fmt.Sprintf("the sysctls below --sysctl-root can't be read: %v", err)
	}
	return ""
}
