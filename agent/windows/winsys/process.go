package winsys

import (
	"strings"
	"time"
)

// Process is a process by its PID.
type Process struct {
	// Path is that of its image, with a drive letter.
	Path string
	// Handles is how many it has open, sockets among them.
	Handles uint32
}

// Name is the image's, without its folder.
func (p Process) Name() string { return p.Path[strings.LastIndexAny(p.Path, `\/`)+1:] }

// Usage is what this process has used since it was started.
type Usage struct {
	Started time.Time
	// CPU is the time of all its threads, in the kernel and outside.
	CPU time.Duration
	// WorkingSet is its memory in RAM, in bytes, with what it shares.
	WorkingSet uint64
}
