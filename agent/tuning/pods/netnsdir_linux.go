package pods

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// listFiles returns the names of the files in root.
func listFiles(root string) ([]string, error) {
	d, err := os.Open(root)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// readNetnsInode returns the inode of the network namespace at path, and whether one is
// mounted there. Runtimes create the file before they mount the namespace on it.
func readNetnsInode(path string) (uint64, bool) {
	var st unix.Stat_t
	var in unix.Statfs_t
	if unix.Stat(path, &st) != nil || unix.Statfs(path, &in) != nil || in.Type != unix.NSFS_MAGIC {
		return 0, false
	}
	return st.Ino, true
}

// watchDir calls created when a file appears in root, until ctx ends.
func watchDir(ctx context.Context, root string, created func()) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	f := os.NewFile(uintptr(fd), "inotify") // waits in the runtime's poller, so that Close wakes it
	stop := context.AfterFunc(ctx, func() { _ = f.Close() })
	defer func() {
		if stop() {
			_ = f.Close()
		}
	}()
	if _, err := unix.InotifyAddWatch(fd, root, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ONLYDIR|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF); err != nil {
		return &fs.PathError{Op: "watch", Path: root, Err: err}
	}
	created() // for files that were created before the watch
	buf := make([]byte, 64*(unix.SizeofInotifyEvent+unix.NAME_MAX+1))
	for {
		n, err := f.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("inotify of %s: %w", root, err)
		case isDirRemoved(buf[:n]):
			return fmt.Errorf("%s: %w", root, errDirRemoved)
		}
		created()
	}
}

var errDirRemoved = errors.New("the directory was removed or moved")

// isDirRemoved reports whether any of the events means that the directory itself was
// removed or moved. An event of inotify(7) consists of the watch, the mask, the cookie,
// the length of the name, and the name.
func isDirRemoved(events []byte) bool {
	for len(events) >= unix.SizeofInotifyEvent {
		if binary.NativeEndian.Uint32(events[4:])&(unix.IN_IGNORED|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF) != 0 {
			return true
		}
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(events[12:]))
		events = events[min(size, len(events)):]
	}
	return false
}
