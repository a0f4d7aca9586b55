package pods

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/tuning/plan"
)

// podNetns is a pod's network namespace.
type podNetns struct {
	target plan.Target
	path   string
	inode  uint64
}

// runInNetns runs fn on a thread in the pod's network namespace: if it still is that one,
// by inode and by cookie. An inode is given to the next namespace, a cookie never.
func runInNetns(s podNetns, fn func()) error {
	return netns.Enter(s.path, s.inode, func() error {
		c, err := readOwnCookie()
		switch {
		case err != nil:
			return err
		case c != s.target.Cookie:
			return fmt.Errorf("%s has the cookie %d, not %d: %w", s.path, c, s.target.Cookie, netns.ErrChanged)
		}
		fn()
		return nil
	})
}

// readNetnsCookie is the cookie of the namespace of s.
func readNetnsCookie(s podNetns) (c uint64, err error) {
	err = netns.Enter(s.path, s.inode, func() (err error) {
		c, err = readOwnCookie()
		return err
	})
	return c, err
}

// readOwnCookie is that of the calling thread's network namespace; 0 before Linux 5.14, where
// the pod alone tells namespaces apart.
func readOwnCookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	c, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if errors.Is(err, unix.ENOPROTOOPT) {
		return 0, nil
	}
	return c, err
}

// isVanished says that err is that of a namespace which is no more.
func isVanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, netns.ErrChanged) || errors.Is(err, netns.ErrNotNamespace)
}
