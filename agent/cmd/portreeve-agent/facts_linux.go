package main

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// readKernelRelease returns the kernel's release, empty if uname(2) fails.
func readKernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

func describePlatform(p *v1alpha1.Platform) {
	p.Kernel = readKernelRelease()
	p.BootID, _ = readBootID() // it is omitted if it is not known
}

// readBootID returns the ID of this boot, which is the same in all containers.
func readBootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id)), err
}

// chooseTimeWait returns the duration of TIME_WAIT; 0 is the constant of Linux.
func chooseTimeWait() time.Duration { return 0 }

// readCounters adds the kernel's counters to f. The procfs shows those of conntrack,
// TIME_WAIT and listen queues for the agent's own network namespace only; if that isn't
// the machine's, they are copied from the sample if it has them.
func readCounters(f *assess.Facts, sample *socket.Sample, proc string) {
	c, unobserved := kernelstat.Read(proc)
	f.TCP.Orphans, f.TCP.MaxOrphans = c.Orphans, c.MaxOrphans
	f.TCP.OpenFiles, f.TCP.MaxFiles = c.OpenFiles, c.MaxFiles
	limits := c.TCPMemoryLimits
	if sample.TCPMemoryLimits != nil {
		limits = sample.TCPMemoryLimits
	}
	if c.TCPMemory != nil && limits != nil && limits[2] > 0 {
		f.TCP.MemoryRatio = new(float64(*c.TCPMemory) / float64(limits[2]))
	}
	host := sample.HostNetwork()
	if host == nil || host.Inode != readOwnNetwork(proc) {
		f.Unobserved = copyHostCounters(f, host)
		return
	}
	f.Unobserved = unobserved
	for i, n := range c.Neighbours {
		if n != nil {
			f.TCP.Neighbours[i] = &assess.NeighbourTable{Entries: n.Entries, Max: n.Max, Overflows: n.Overflows}
		}
	}
	f.TCP.TimeWaitOverflow, f.TCP.ListenOverflows = c.TimeWaitOverflow, c.ListenOverflows
	if c.Conntrack == nil {
		return
	}
	f.Conntrack = &assess.Conntrack{Entries: int64(c.Conntrack.Entries), Max: int64(c.Conntrack.Max)}
	if d := c.ConntrackDrops; d != nil {
		f.Conntrack.InsertFailed, f.Conntrack.Drop, f.Conntrack.EarlyDrop =
			new(int64(d.InsertFailed)), new(int64(d.Drop)), new(int64(d.EarlyDrop))
	}
}

// copyHostCounters copies the counters of the machine's own network from a sample, and
// returns those that it doesn't have. Without a count of entries there is no Conntrack,
// even if connection tracking is in use: its drops remain in the sample.
func copyHostCounters(f *assess.Facts, host *socket.Network) []socket.Unobserved {
	const reason = "shown in the node's own network namespace only, and the agent runs in another"
	if host == nil || host.Counters == nil {
		return []socket.Unobserved{{Item: "conntrack, TIME_WAIT and listen overflows", Reason: reason}}
	}
	f.TCP.TimeWaitOverflow, f.TCP.ListenOverflows = &host.Counters.TimeWaitOverflow, &host.Counters.ListenOverflows
	if host.Counters.Conntrack == nil {
		return nil
	}
	return []socket.Unobserved{{Item: "conntrack entries", Reason: reason}}
}

// readOwnNetwork returns the inode of the agent's network namespace, 0 if unknown.
func readOwnNetwork(proc string) uint64 {
	var st unix.Stat_t
	if err := unix.Stat(proc+"/self/ns/net", &st); err != nil {
		return 0
	}
	return st.Ino
}
