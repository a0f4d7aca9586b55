package netlink

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// BufferSize is enough for any reply, of which the kernel sends at most 32 KiB at a time
// (net/netlink/af_netlink.c, netlink_dump). A larger one would end in a truncated
// message, which NextMessage rejects.
const BufferSize = 64 << 10

// Open opens a socket of a netlink family such as NETLINK_SOCK_DIAG in the calling
// thread's network namespace, to which it stays bound.
func Open(family int) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, family)
	if err != nil {
		return -1, fmt.Errorf("open a netlink socket: %w", err)
	}
	// The kernel answers immediately. The time limit is only a safeguard.
	limit := unix.Timeval{Sec: 10}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return -1, errors.Join(fmt.Errorf("set the receive timeout of a netlink socket: %w", err), unix.Close(fd))
	}
	return fd, nil
}

// Dump sends a request and passes every message of the reply, which must be of the given
// kind, to each. buf is scratch memory. interrupted reports whether the kernel marked the
// dump as inconsistent. After an error fd should be closed, because the rest of the reply
// may still arrive.
func Dump(fd int, request []byte, kind uint16, buf []byte, each func(Message) error) (interrupted bool, err error) {
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return false, fmt.Errorf("send a netlink request: %w", err)
	}
	for {
		n, err := unix.Read(fd, buf) // unlike recvmsg it allocates nothing
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return interrupted, fmt.Errorf("receive netlink messages: %w", err)
		}
		done, cut, err := ForEachReply(buf[:n], request, kind, each)
		interrupted = interrupted || cut
		if done || err != nil {
			return interrupted, err
		}
	}
}
