package main

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readerCapabilities are the capabilities that readers can use. In a pod the agent is not
// root: the image's file capabilities only permit them (=p), so it starts without effective
// capabilities and raises only these. SYS_RESOURCE raises the limit of locked memory, which
// Linux before 5.11 applies to BPF maps; pods don't have it by default.
const readerCapabilities uint64 = 1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON | 1<<unix.CAP_SYS_RESOURCE

// snatCapabilities are needed in addition for SNAT pools. NET_ADMIN also permits network
// changes, so it is raised only if SNAT pools are requested.
const snatCapabilities uint64 = 1 << unix.CAP_NET_ADMIN

// isPermitted reports whether this process may use a capability.
func isPermitted(capability int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[capability/32].Permitted&(1<<(capability%32)) != 0
}

// raiseCapabilities makes the permitted readerCapabilities effective on every thread, and
// with snat the snatCapabilities. That works only without cgo.
func raiseCapabilities(snat bool) error {
	wanted := readerCapabilities
	if snat {
		wanted |= snatCapabilities
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // the low and the high 32 capabilities
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read the capabilities of this process: %w", err)
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
