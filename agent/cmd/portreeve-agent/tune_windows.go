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
	"portreeve.io/portreeve/agent/windows/registry"
	"portreeve.io/portreeve/agent/windows/sysinfo"
	"portreeve.io/portreeve/internal/settings"
)

// defaultState is %ProgramData%\portreeve.
func defaultState() string {
	folder, err := windows.KnownFolderPath(windows.FOLDERID_ProgramData, 0)
	if err != nil {
		folder = `C:\ProgramData`
	}
	return filepath.Join(folder, "portreeve")
}

// tuneOptions are what a tuner needs to know of this machine.
func tuneOptions(t *tuneFlags) (tuning.Options, error) {
	if t.where.value == tunePods {
		return tuning.Options{}, usagef("--tune %s: Windows has the settings once for the whole machine, and none inside pods; must be host or off here", tunePods)
	}
	boot, err := sysinfo.ReadBootTime()
	if err != nil {
		return tuning.Options{}, fmt.Errorf("--tune %s: the boot time is needed, to know which settings wait for a restart: %w", t.where.value, err)
	}
	run, err := netsh.NewSystemRunner()
	if err != nil {
		return tuning.Options{}, fmt.Errorf("--tune %s: %w", t.where.value, err)
	}
	return tuning.Options{
		OS:      settings.Windows,
		Disk:    func() (journal.Disk, error) { return journal.OpenDir(t.state) },
		Host:    tuningwindows.New(registry.Tcpip, netsh.Client{Run: run}, time.Now),
		Boot:    boot.Format(time.RFC3339Nano),
		Kernel:  sysinfo.ReadVersion().String(),
		Allow:   t.allow,
		Protect: []plan.Protected{t.protectNodePorts()},
		Stopped: func() string { return stopped(t.stopFile) },
	}, nil
}

// watchSettings wakes the tuner when a value of TCP/IP's key was changed.
func watchSettings(log *slog.Logger, poke func()) []func(context.Context) {
	return []func(context.Context){func(ctx context.Context) {
		if err := registry.Tcpip.WatchValues(ctx, poke); err != nil {
			log.Warn("the registry can't be watched; what others change is seen at the next tick", "why", err)
		}
	}}
}

func (r *runner) startPods(context.Context, tuning.Options, podTuning) (*tuning.Tuner, []func(context.Context), error) {
	return nil, nil, errors.ErrUnsupported // tuneOptions has refused
}

func restorePods(*tuneFlags, tuning.Options) tuning.Pods { return nil }
