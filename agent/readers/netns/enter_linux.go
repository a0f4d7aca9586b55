package netns

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Errors of Enter, beside those of open and setns.
var (
	// ErrNotNamespace: the file is not a namespace (yet): runtimes create the
	// file in /run/netns first and mount the namespace on it afterwards.
	ErrNotNamespace = errors.New("not a network namespace")
	// ErrChanged: the file is another namespace by now.
	ErrChanged = errors.New("the namespace has changed")
)

// Enter runs fn on a thread inside the network namespace that the file at path
// names, if its inode is the one given; 0 takes any. It needs SYS_ADMIN.
//
// The thread is made for this call and dies with it, so that no other goroutine
// ever runs in a foreign namespace. It is never the main thread, whose
// namespace is what the machine sees as the process's; a program that calls
// Enter should also pin its main goroutine with runtime.LockOSThread in init.
func Enter(path string, inode uint64, fn func() error) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	// Checked on the descriptor, which is what setns then uses: no race.
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

// runOnNewThread runs fn on a thread that ends afterwards.
func runOnNewThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if unix.Gettid() != unix.Getpid() {
			done <- fn()
			return
		}
		// The main thread: while it is locked here, the next goroutine gets another.
		done <- runOnNewThread(fn)
		runtime.UnlockOSThread()
	}()
	return <-done
}
