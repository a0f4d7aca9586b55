package netlink

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// BufferSize holds any reply: the kernel fills at most 32 KiB at a time
// (net/netlink/af_netlink.c, netlink_dump). A larger one would be cut off in a
// message, which Next rejects.
const BufferSize = 64 << 10

// Open opens a socket of that family (NETLINK_SOCK_DIAG and so on) in the calling
// thread's network namespace, to which it stays bound.
func Open(family int) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, family)
	if err != nil {
		return -1, fmt.Errorf("open a netlink socket: %w", err)
	}
	// The kernel answers at once; a time limit keeps a surprise from blocking.
	limit := unix.Timeval{Sec: 10}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return -1, errors.Join(fmt.Errorf("limit a netlink socket: %w", err), unix.Close(fd))
	}
	return fd, nil
}

// Dump sends a request and passes every message of the reply, which is of that
// kind, to each. buf is scratch. interrupted says that the kernel called the dump
// inconsistent. After an error the rest of the reply is still on its way: fd
// should be closed.
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
