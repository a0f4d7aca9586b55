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

// counters are the kernel's figures beside the sockets. Those of conntrack are
// of the agent's own network namespace, and so the machine's only there.
func counters(sample *socket.Sample, proc string) (*assess.Conntrack, []socket.Unseen) {
	if !onHostNetwork(sample, proc) {
		return nil, []socket.Unseen{{What: "conntrack", Why: "shown in the node's own network namespace only, and the agent runs in another"}}
	}
	c, unseen := kernelstat.Read(proc)
	if c.Conntrack == nil {
		return nil, unseen
	}
	out := &assess.Conntrack{Entries: int64(c.Conntrack.Entries), Max: int64(c.Conntrack.Max)}
	if d := c.ConntrackDrops; d != nil {
		out.InsertFailed, out.Drop, out.EarlyDrop = new(int64(d.InsertFailed)), new(int64(d.Drop)), new(int64(d.EarlyDrop))
	}
	return out, unseen
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
