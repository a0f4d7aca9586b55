package main

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readerCapabilities are the capabilities that the readers can use. In a pod the agent is no
// root: the image's file capabilities only permit them (=p), so that it starts
// with none in effect and takes these two alone.
const readerCapabilities uint64 = 1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON

// snatCapabilities is what the pools of SNAT take beside them: it can change much of the
// network, too, and so is left alone unless they are asked for.
const snatCapabilities uint64 = 1 << unix.CAP_NET_ADMIN

// raiseCapabilities puts the permitted ones of wanted into effect, and of
// wantedSNAT if snat is, on every thread. Programs that are built with cgo can't do
// that; this one isn't.
func raiseCapabilities(snat bool) error {
	wanted := readerCapabilities
	if snat {
		wanted |= snatCapabilities
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // the low and the high 32 capabilities
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read the own capabilities: %w", err)
	}
	lacking := false
	for i, want := range []uint32{uint32(wanted & 0xffffffff), uint32(wanted >> 32)} {
		raised := data[i].Effective | data[i].Permitted&want
		lacking = lacking || raised != data[i].Effective
		data[i].Effective = raised
	}
	if !lacking {
		return nil
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0)
	if errno != 0 {
		return fmt.Errorf("raise the permitted capabilities: %w", errno)
	}
	return nil
}
