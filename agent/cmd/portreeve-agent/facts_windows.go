package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	tuningwindows "portreeve.io/portreeve/agent/tuning/windows"
	"portreeve.io/portreeve/agent/windows/registry"
	"portreeve.io/portreeve/agent/windows/winsys"
	"portreeve.io/portreeve/api/v1alpha1"
)

func describePlatform(p *v1alpha1.Platform) { p.Build = winsys.ReadVersion().String() }

// readParameters are read once: Windows takes them when it starts, and not from then on.
var readParameters = sync.OnceValues(winsys.ReadParameters)

// assumedTimeWait is what most measure where TcpTimedWaitDelay is not set. Nothing
// shows it as a figure of this machine: forecasts go by it, and the capabilities say so.
const assumedTimeWait = 2 * time.Minute

// chooseTimeWait is how long TIME_WAIT lasts, for forecasts.
func chooseTimeWait() time.Duration {
	if set := readConfiguredTimeWait(); set > 0 {
		return set
	}
	return assumedTimeWait
}

// readConfiguredTimeWait is 0 where Windows has its own.
func readConfiguredTimeWait() time.Duration {
	p, _ := readParameters() // an error is told in readCounters
	if p.TimedWaitDelay == nil {
		return 0
	}
	return time.Duration(*p.TimedWaitDelay) * time.Second
}

// readCounters adds what Windows tells beside its tables.
func readCounters(f *assess.Facts, _ *socket.Sample, _ string) {
	unseen := func(what string, err error) {
		if err != nil {
			f.Unobserved = append(f.Unobserved, socket.Unobserved{Item: what, Reason: err.Error()})
		}
	}
	// The range is netsh's: MaxUserPort is not what widens it on Windows that we run on.
	f.System = cause.System{IsWindows: true, TimeWait: readConfiguredTimeWait()}
	f.Windows = &assess.Windows{UpdatePending: winsys.RestartPending()}
	boot, err := winsys.BootTime()
	unseen("boot time", err)
	f.Windows.BootedAt = boot
	memory, err := winsys.ReadMemory()
	unseen("memory", err)
	if err == nil {
		f.Windows.Memory = new(assess.WindowsMemory(memory))
	}
	_, err = readParameters()
	unseen("registry", err)
	f.Capabilities = append(listCapabilities(err), listIgnoredValues()...)
}

// listIgnoredValues are values of the registry that somebody has set, and that Windows ignores.
func listIgnoredValues() (list []socket.Capability) {
	values, _ := registry.Tcpip.ListValues() // RegistryRead says why not
	for _, f := range tuningwindows.AuditValues(values) {
		list = append(list, socket.Capability{Name: "RegistryValue " + f.Name, State: socket.CapabilityUnsupported, Message: f.Why})
	}
	return list
}

// listCapabilities are those that no reader has.
func listCapabilities(registry error) []socket.Capability {
	return []socket.Capability{
		newCapability("RegistryRead", socket.CapabilityVerified, "", registry),
		newCapability(v1alpha1.CapabilityRegistryWrite, socket.CapabilityAssumed, "TCP/IP's key can be opened for writing; nothing was written", winsys.MayWrite()),
		describeTimeWait(),
		checkJournalFolder(findDefaultStateDir()),
	}
}

// checkJournalFolder is verified by what a tuner left there.
func checkJournalFolder(path string) socket.Capability {
	c := socket.Capability{Name: "JournalFolder", State: socket.CapabilityAssumed, Message: path + " is made with the first setting"}
	switch _, err := os.Stat(filepath.Join(path, "journal.json")); {
	case err == nil:
		c.State, c.Message = socket.CapabilityVerified, path
	case !errors.Is(err, fs.ErrNotExist):
		c.State, c.Message = socket.CapabilityUnsupported, err.Error()
	}
	return c
}

func newCapability(name string, state socket.CapabilityState, message string, err error) socket.Capability {
	if err != nil {
		return socket.Capability{Name: name, State: socket.CapabilityUnsupported, Message: err.Error()}
	}
	return socket.Capability{Name: name, State: state, Message: message}
}

func describeTimeWait() socket.Capability {
	c := socket.Capability{Name: "TimeWaitLength", State: socket.CapabilityAssumed}
	if set := readConfiguredTimeWait(); set > 0 {
		c.Message = fmt.Sprintf("TcpTimedWaitDelay is %.0f s, if Windows was started after it was set", set.Seconds())
		return c
	}
	c.Message = fmt.Sprintf("OS default, which Windows does not tell: TcpTimedWaitDelay is not set; forecasts assume %.0f s", assumedTimeWait.Seconds())
	return c
}
