//go:build !windows

package journal

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func makeDir(path string) error { return os.MkdirAll(path, 0o700) }

// isBeingRemoved always returns false: a removed lock file can still be opened.
func isBeingRemoved(error) bool { return false }

// lockFile locks f until it is closed or the process ends.
func lockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// closeLast removes the lock file while it is locked, so that no other process has it.
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
