package main

import (
	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/kernelstat"
	"portreeve.io/portreeve/agent/socket"
)

// kernelRelease is empty where uname(2) fails.
func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// readCounters adds the kernel's figures beside the sockets. Those of conntrack,
// TIME_WAIT and listen queues are of the agent's own network namespace, and so
// the machine's only there.
func readCounters(f *assess.Facts, sample *socket.Sample, proc string) {
	c, unseen := kernelstat.Read(proc)
	f.TCP.Orphans, f.TCP.MaxOrphans = c.Orphans, c.MaxOrphans
	f.TCP.OpenFiles, f.TCP.MaxFiles = c.OpenFiles, c.MaxFiles
	limits := c.TCPMemoryLimits
	if sample.TCPMemoryLimits != nil {
		limits = sample.TCPMemoryLimits
	}
	if c.TCPMemory != nil && limits != nil && limits[2] > 0 {
		f.TCP.Memory = new(float64(*c.TCPMemory) / float64(limits[2]))
	}
	if !onHostNetwork(sample, proc) {
		f.Unseen = []socket.Unseen{{What: "conntrack, TIME_WAIT and listen overflows",
			Why: "shown in the node's own network namespace only, and the agent runs in another"}}
		return
	}
	f.Unseen = unseen
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

// onHostNetwork says whether the agent's network namespace is the machine's own.
func onHostNetwork(sample *socket.Sample, proc string) bool {
	var st unix.Stat_t
	if err := unix.Stat(proc+"/self/ns/net", &st); err != nil {
		return false
	}
	for i := range sample.Networks {
		if n := &sample.Networks[i]; n.Owner.Kind == socket.OwnerHost {
			return n.Inode == st.Ino
		}
	}
	return false
}
