package winstat

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

var getProcessHandleCount = kernel32.NewProc("GetProcessHandleCount")

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
