package winstat

import "strings"

// Process is a process by its PID.
type Process struct {
	// Path is that of its image, with a drive letter.
	Path string
	// Handles is how many it has open, sockets among them.
	Handles uint32
}

// Name is the image's, without its folder.
func (p Process) Name() string { return p.Path[strings.LastIndexAny(p.Path, `\/`)+1:] }
