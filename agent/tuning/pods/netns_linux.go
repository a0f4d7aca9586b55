package pods

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/tuning/plan"
)

// podNetns is a pod's network namespace.
type podNetns struct {
	target plan.Target
	path   string
	inode  uint64
	// sandbox is a runtime that keeps the pod's sockets outside the host kernel, or "".
	sandbox string
}

// runInNetns runs fn on a thread in the pod's network namespace, after checking its inode
// and cookie. The kernel reuses inode numbers for later namespaces, but never cookies.
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

// readNetnsCookie returns the cookie of a namespace.
func readNetnsCookie(s podNetns) (c uint64, err error) {
	err = netns.Enter(s.path, s.inode, func() (err error) {
		c, err = readOwnCookie()
		return err
	})
	return c, err
}

// readOwnCookie returns the cookie of the calling thread's network namespace. It is 0 before
// Linux 5.14, where namespaces can only be distinguished by their pods.
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
