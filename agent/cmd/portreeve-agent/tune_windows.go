package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/sys/windows"

	"portreeve.io/portreeve/agent/tuning"
	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	tuningwindows "portreeve.io/portreeve/agent/tuning/windows"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/agent/windows/powershell"
	"portreeve.io/portreeve/agent/windows/registry"
	"portreeve.io/portreeve/agent/windows/sysinfo"
	"portreeve.io/portreeve/internal/settings"
)

// findDefaultStateDir returns %ProgramData%\portreeve.
func findDefaultStateDir() string {
	folder, err := windows.KnownFolderPath(windows.FOLDERID_ProgramData, 0)
	if err != nil {
		folder = `C:\ProgramData`
	}
	return filepath.Join(folder, "portreeve")
}

// newTuneOptions returns the tuner's options for this machine.
func newTuneOptions(t *tuneFlags) (tuning.Options, error) {
	if t.scope.value == tunePods {
		return tuning.Options{}, newUsageErrorf("--tune %s: Windows has these settings for the whole machine only, not inside pods; must be host or off here", tunePods)
	}
	boot, err := sysinfo.ReadBootTime()
	if err != nil {
		return tuning.Options{}, fmt.Errorf("--tune %s: the boot time is needed, to know which settings need a restart: %w", t.scope.value, err)
	}
	run, err := netsh.NewSystemRunner()
	if err != nil {
		return tuning.Options{}, fmt.Errorf("--tune %s: %w", t.scope.value, err)
	}
	shell, err := powershell.NewSystemClient()
	if err != nil {
		return tuning.Options{}, fmt.Errorf("--tune %s: %w", t.scope.value, err)
	}
	return tuning.Options{
		OS:      settings.Windows,
		Disk:    func() (journal.Disk, error) { return journal.OpenDir(t.stateDir) },
		Host:    tuningwindows.New(registry.Tcpip, netsh.Client{Run: run}, shell, time.Now),
		Boot:    boot.Format(time.RFC3339Nano),
		Kernel:  sysinfo.ReadVersion().String(),
		Allow:   t.allowedKeys,
		Protect: []plan.Protected{t.protectNodePorts()},
		Stopped: func() string { return checkStopFile(t.stopFile) },
	}, nil
}

// newMeasureOptions returns the options of a tuner that changes nothing.
func newMeasureOptions() tuning.Options { return tuning.Options{OS: settings.Windows} }

// watchSettings returns a function that wakes the tuner when a value of TCP/IP's key changes.
func watchSettings(log *slog.Logger, wake func()) []func(context.Context) {
	return []func(context.Context){func(ctx context.Context) {
		if err := registry.Tcpip.WatchValues(ctx, wake); err != nil {
			log.Warn("failed to watch the registry; changes by other programs are detected at the next tick", "error", err)
		}
	}}
}

func (r *runner) startPodTuner(
	context.Context, tuning.Options, podTuning,
) (*tuning.Tuner, []func(context.Context), error) {
	return nil, nil, errors.ErrUnsupported // tuneOptions has refused
}

func openPodsForRestore(*tuneFlags, tuning.Options) tuning.Pods { return nil }
