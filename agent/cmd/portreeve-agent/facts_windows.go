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
	"portreeve.io/portreeve/agent/windows/sysinfo"
	"portreeve.io/portreeve/api/v1alpha1"
)

func describePlatform(p *v1alpha1.Platform) { p.Build = sysinfo.ReadVersion().String() }

// readParameters reads the parameters once: Windows applies them only when it starts.
var readParameters = sync.OnceValues(sysinfo.ReadParameters)

// assumedTimeWait is the commonly measured duration where TcpTimedWaitDelay is not set.
// Only forecasts use it, and the capabilities mention it.
const assumedTimeWait = 2 * time.Minute

// chooseTimeWait returns the duration of TIME_WAIT, for forecasts.
func chooseTimeWait() time.Duration {
	if set := readConfiguredTimeWait(); set > 0 {
		return set
	}
	return assumedTimeWait
}

// readConfiguredTimeWait returns the configured duration of TIME_WAIT, 0 for the OS default.
func readConfiguredTimeWait() time.Duration {
	p, _ := readParameters() // readCounters reports the error
	if p.TimedWaitDelay == nil {
		return 0
	}
	return time.Duration(*p.TimedWaitDelay) * time.Second
}

// readCounters adds facts about Windows that are not in its socket tables.
func readCounters(f *assess.Facts, _ *socket.Sample, _ string) {
	addUnobserved := func(item string, err error) {
		if err != nil {
			f.Unobserved = append(f.Unobserved, socket.Unobserved{Item: item, Reason: err.Error()})
		}
	}
	// The range is that of netsh: MaxUserPort doesn't widen it on supported versions.
	f.System = cause.System{IsWindows: true, TimeWait: readConfiguredTimeWait()}
	f.Windows = &assess.Windows{UpdatePending: sysinfo.IsRestartPending()}
	boot, err := sysinfo.ReadBootTime()
	addUnobserved("boot time", err)
	f.Windows.BootedAt = boot
	memory, err := sysinfo.ReadMemory()
	addUnobserved("memory", err)
	if err == nil {
		f.Windows.Memory = new(assess.WindowsMemory(memory))
	}
	_, err = readParameters()
	addUnobserved("registry", err)
	f.Capabilities = append(listCapabilities(err), listIgnoredValues()...)
}

// listIgnoredValues returns the registry values that are set although Windows ignores them.
func listIgnoredValues() (list []socket.Capability) {
	values, _ := registry.Tcpip.ListValues() // the capability RegistryRead has the error
	for _, f := range tuningwindows.AuditValues(values) {
		list = append(list, socket.Capability{Name: "RegistryValue " + f.Name, State: socket.CapabilityUnsupported, Message: f.Why})
	}
	return list
}

// listCapabilities returns the capabilities that don't belong to a reader.
func listCapabilities(registryErr error) []socket.Capability {
	return []socket.Capability{
		newCapability("RegistryRead", socket.CapabilityVerified, "", registryErr),
		newCapability(v1alpha1.CapabilityRegistryWrite, socket.CapabilityAssumed, "TCP/IP's key can be opened for writing; nothing was written", sysinfo.CheckWriteAccess()),
		describeTimeWait(),
		checkJournalFolder(findDefaultStateDir()),
	}
}

// checkJournalFolder returns the capability JournalFolder, which a journal verifies.
func checkJournalFolder(path string) socket.Capability {
	c := socket.Capability{Name: "JournalFolder", State: socket.CapabilityAssumed, Message: path + " is created with the first setting"}
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
		c.Message = fmt.Sprintf("TcpTimedWaitDelay is %.0f s, if Windows was restarted after it was set", set.Seconds())
		return c
	}
	c.Message = fmt.Sprintf("OS default, which cannot be read: TcpTimedWaitDelay is not set; forecasts assume %.0f s", assumedTimeWait.Seconds())
	return c
}
