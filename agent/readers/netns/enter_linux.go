package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"

	"golang.org/x/sys/unix"
)

// Errors of Enter, beside those of open and setns.
var (
	// ErrNotNamespace means that the file is not a namespace (yet). Runtimes create the
	// file in /run/netns first, and then mount the namespace on it.
	ErrNotNamespace = errors.New("not a network namespace")
	// ErrChanged means that the file is another namespace now.
	ErrChanged = errors.New("the namespace has changed")
)

// IsVanished reports whether err of Enter, or of reading a file of a namespace, means that the
// namespace has ended since it was found.
func IsVanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrChanged) || errors.Is(err, ErrNotNamespace)
}

// Enter runs fn on a thread inside the network namespace of the file at path, if that has
// the given inode; 0 accepts any. It needs SYS_ADMIN.
//
// The thread is created for this call and ends with it, so no other goroutine ever runs
// in a foreign namespace. It is never the main thread, whose namespace counts as the
// process's. A program that calls Enter should also pin its main goroutine with
// runtime.LockOSThread in init.
func Enter(path string, inode uint64, fn func() error) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	// The check is free of races because setns uses the same descriptor.
	var st unix.Stat_t
	var fs unix.Statfs_t
	if err := errors.Join(unix.Fstat(fd, &st), unix.Fstatfs(fd, &fs)); err != nil {
		return fmt.Errorf("stat %s: %w", path, err)
	}
	if fs.Type != unix.NSFS_MAGIC {
		return fmt.Errorf("%s: %w", path, ErrNotNamespace)
	}
	if inode != 0 && st.Ino != inode {
		return fmt.Errorf("%s is net:[%d], not net:[%d]: %w", path, st.Ino, inode, ErrChanged)
	}
	return runOnNewThread(func() error {
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("setns to net:[%d]: %w", st.Ino, err)
		}
		return fn()
	})
}

// runOnNewThread runs fn on a new thread, which then ends.
func runOnNewThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread ends with the goroutine
		if unix.Gettid() != unix.Getpid() {
			done <- fn()
			return
		}
		// This is the main thread. While it is locked, the next goroutine gets another.
		done <- runOnNewThread(fn)
		runtime.UnlockOSThread()
	}()
	return <-done
}
