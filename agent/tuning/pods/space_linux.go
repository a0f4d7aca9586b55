package pods

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/tuning/plan"
)

// space is a pod's network namespace.
type space struct {
	target plan.Target
	path   string
	inode  uint64
}

// inside runs fn on a thread in the pod's network namespace: if it still is that one,
// by inode and by cookie. An inode is given to the next namespace, a cookie never.
func inside(s space, fn func()) error {
	return netns.Enter(s.path, s.inode, func() error {
		c, err := cookie()
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

// cookieOf is the cookie of the namespace of s.
func cookieOf(s space) (c uint64, err error) {
	err = netns.Enter(s.path, s.inode, func() (err error) {
		c, err = cookie()
		return err
	})
	return c, err
}

// cookie is that of the calling thread's network namespace; 0 before Linux 5.14, where
// the pod alone tells namespaces apart.
func cookie() (uint64, error) {
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

// vanished says that err is that of a namespace which is no more.
func vanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, netns.ErrChanged) || errors.Is(err, netns.ErrNotNamespace)
}
