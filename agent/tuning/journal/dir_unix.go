//go:build !windows

package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// makeDir creates the folder if necessary. An existing one is refused if another user than
// root and this process's owns it, or could write to it: its content determines which
// values are restored.
func makeDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is a %s, not a directory: examine and remove it", path, describeType(info))
	}
	return checkTrusted(path, info)
}

// checkTrusted refuses a file or folder that other users could change.
func checkTrusted(path string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("read the owner of %s: not supported", path)
	}
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is owned by user %d, who could change what is restored: examine and remove it", path, st.Uid)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("%s has the mode %#o, so that other users could change what is restored: examine it, and run chmod go-w on it", path, mode)
	}
	return nil
}

func describeType(info fs.FileInfo) string {
	switch info.Mode().Type() {
	case fs.ModeSymlink:
		return "symbolic link"
	case fs.ModeDir:
		return "directory"
	case fs.ModeNamedPipe:
		return "named pipe"
	}
	return "special file"
}

// openFile opens a regular file of the journal. It follows no symbolic link, does not wait
// for the other end of a named pipe, and refuses files that other users could change.
func openFile(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link: examine and remove it", path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is a %s, not a regular file: examine and remove it", path, describeType(info))
	}
	if err == nil {
		err = checkTrusted(path, info)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// isBeingRemoved always returns false: a removed lock file can still be opened.
func isBeingRemoved(error) bool { return false }

// lockFile locks f until it is closed or the process ends.
func lockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// closeLast removes the lock file while it is locked, so that no other process has it.
func closeLast(f *os.File) error { return errors.Join(os.Remove(f.Name()), f.Close()) }

func syncFile(path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Sync()
}

func syncDir(path string) error { return syncFile(path) }

func renameFile(from, to string) error { return os.Rename(from, to) }
