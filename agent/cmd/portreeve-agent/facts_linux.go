package main

import (
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// readKernelRelease is empty where uname(2) fails.
func readKernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

func describePlatform(p *v1alpha1.Platform) { p.Kernel = readKernelRelease() }

// chooseTimeWait is how long TIME_WAIT lasts; 0 is the constant of Linux.
func chooseTimeWait() time.Duration { return 0 }

// readCounters adds the kernel's figures beside the sockets. The procfs shows those of
// conntrack, TIME_WAIT and listen queues for the agent's own network namespace only;
// where that isn't the machine's, they are taken from the sample as far as it has them.
func readCounters(f *assess.Facts, sample *socket.Sample, proc string) {
	c, unseen := kernelstat.Read(proc)
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
	f.Unobserved = unseen
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

// copyHostCounters takes what a sample knows of the machine's own network, and says what it
// doesn't. Connection tracking that is in use and whose entries nobody can count is
// no Conntrack: its drops stay in the sample.
func copyHostCounters(f *assess.Facts, host *socket.Network) []socket.Unobserved {
	const why = "shown in the node's own network namespace only, and the agent runs in another"
	if host == nil || host.Counters == nil {
		return []socket.Unobserved{{Item: "conntrack, TIME_WAIT and listen overflows", Reason: why}}
	}
	f.TCP.TimeWaitOverflow, f.TCP.ListenOverflows = &host.Counters.TimeWaitOverflow, &host.Counters.ListenOverflows
	if host.Counters.Conntrack == nil {
		return nil
	}
	return []socket.Unobserved{{Item: "conntrack entries", Reason: why}}
}

// readOwnNetwork is the inode of the agent's network namespace, 0 where it can't be told.
func readOwnNetwork(proc string) uint64 {
	var st unix.Stat_t
	if err := unix.Stat(proc+"/self/ns/net", &st); err != nil {
		return 0
	}
	return st.Ino
}
