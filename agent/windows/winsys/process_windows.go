package winsys

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	getProcessHandleCount = kernel32.NewProc("GetProcessHandleCount")
	getProcessMemoryInfo  = kernel32.NewProc("K32GetProcessMemoryInfo")
)

// ReadProcess reads the process of that PID. System (4) has no image.
func ReadProcess(pid uint32) (Process, error) {
	if pid == systemPID {
		return Process{Path: "System"}, nil
	}
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return Process{}, fmt.Errorf("open process %d: %w", pid, err)
	}
	defer func() { _ = windows.CloseHandle(h) }()
	var p Process
	buf := make([]uint16, 1024)
	n := uint32(len(buf))
	if err := windows.QueryFullProcessImageName(h, 0, &buf[0], &n); err != nil {
		return Process{}, fmt.Errorf("image of process %d: %w", pid, err)
	}
	p.Path = windows.UTF16ToString(buf[:n])
	if err := call(getProcessHandleCount, uintptr(h), uintptr(unsafe.Pointer(&p.Handles))); err != nil {
		return p, fmt.Errorf("process %d: %w", pid, err)
	}
	return p, nil
}

// systemPID is the kernel's own process: HTTP.sys and SMB have their sockets there.
const systemPID = 4

// ReadUsage reads that of this process.
func ReadUsage() (Usage, error) {
	self := windows.CurrentProcess()
	var started, ended, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(self, &started, &ended, &kernel, &user); err != nil {
		return Usage{}, fmt.Errorf("GetProcessTimes: %w", err)
	}
	u := Usage{Started: time.Unix(0, started.Nanoseconds()), CPU: span(kernel) + span(user)}
	buf := make([]byte, countersSize)
	if err := call(getProcessMemoryInfo, uintptr(self), uintptr(unsafe.Pointer(&buf[0])), countersSize); err != nil {
		return Usage{}, err
	}
	var err error
	u.WorkingSet, err = ParseWorkingSet(buf)
	return u, err
}

// span is a FILETIME that is no date but a length, of 100 ns each.
func span(f windows.Filetime) time.Duration {
	return time.Duration(uint64(f.HighDateTime)<<32|uint64(f.LowDateTime)) * 100
}
