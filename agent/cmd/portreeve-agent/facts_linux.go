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

// counters are the kernel's figures beside the sockets.
func counters(proc string) (*assess.Conntrack, []socket.Unseen) {
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
