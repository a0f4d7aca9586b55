package sysinfo

import (
	"strings"
	"time"
)

// Process describes a process.
type Process struct {
	// Path is the path of its image, with a drive letter.
	Path string
	// Handles is the number of its open handles, including sockets.
	Handles uint32
}

// Name returns the file name of the image.
func (p Process) Name() string { return p.Path[strings.LastIndexAny(p.Path, `\/`)+1:] }

// Usage describes the resources that this process has used since it was started.
type Usage struct {
	Started time.Time
	// CPU is the CPU time of all threads, in kernel and user mode.
	CPU time.Duration
	// WorkingSet is its memory in RAM, in bytes, including shared memory.
	WorkingSet uint64
}
