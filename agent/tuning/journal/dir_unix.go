//go:build !windows

package journal

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func makeDir(path string) error { return os.MkdirAll(path, 0o700) }

// isBeingRemoved is never so: a lock that is removed can still be opened.
func isBeingRemoved(error) bool { return false }

// lockFile is let go when f is closed, also by the end of the process.
func lockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// closeLast removes the lock while it is held: nobody else has it then.
func closeLast(f *os.File) error { return errors.Join(os.Remove(f.Name()), f.Close()) }

func syncFile(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Sync()
}

func syncDir(path string) error { return syncFile(path) }

func renameFile(from, to string) error { return os.Rename(from, to) }
