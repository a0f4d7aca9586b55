package sysinfo

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"portreeve.io/portreeve/agent/socket"
)

var (
	getProcessHandleCount = kernel32.NewProc("GetProcessHandleCount")
	getProcessMemoryInfo  = kernel32.NewProc("K32GetProcessMemoryInfo")
)

// ReadProcess returns the process with that PID. System (4) has no image.
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
	if err := callAPI(getProcessHandleCount, uintptr(h), uintptr(unsafe.Pointer(&p.Handles))); err != nil {
		return p, fmt.Errorf("process %d: %w", pid, err)
	}
	return p, nil
}

// systemPID is the kernel's process, which owns the sockets of HTTP.sys and SMB.
const systemPID = 4

// NameHolders adds the names, paths and handle counts of the processes to the detail of
// s. A process that has ended or is protected is identified by its PID only.
func NameHolders(s *socket.Sample) {
	if s.PoolDetail == nil {
		return
	}
	for i := range s.PoolDetail.Holders {
		nameHolder(&s.PoolDetail.Holders[i])
	}
}

func nameHolder(h *socket.Holder) {
	if h.PID <= 0 {
		return
	}
	p, err := ReadProcess(uint32(h.PID))
	if err == nil || p.Path != "" {
		h.Process, h.Path, h.OpenFiles = p.Name(), p.Path, int(p.Handles)
	}
}

// ReadUsage returns the resource usage of this process.
func ReadUsage() (Usage, error) {
	self := windows.CurrentProcess()
	var started, ended, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(self, &started, &ended, &kernel, &user); err != nil {
		return Usage{}, fmt.Errorf("GetProcessTimes: %w", err)
	}
	u := Usage{Started: time.Unix(0, started.Nanoseconds()), CPU: convertFiletimeSpan(kernel) + convertFiletimeSpan(user)}
	buf := make([]byte, countersSize)
	if err := callAPI(getProcessMemoryInfo, uintptr(self), uintptr(unsafe.Pointer(&buf[0])), countersSize); err != nil {
		return Usage{}, err
	}
	var err error
	u.WorkingSet, err = ParseWorkingSet(buf)
	return u, err
}

// convertFiletimeSpan converts a FILETIME that contains a duration in units of 100 ns.
func convertFiletimeSpan(f windows.Filetime) time.Duration {
	return time.Duration(uint64(f.HighDateTime)<<32|uint64(f.LowDateTime)) * 100
}
