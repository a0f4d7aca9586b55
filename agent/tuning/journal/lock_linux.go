package journal

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock is let go when f is closed, also by the end of the process.
func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
