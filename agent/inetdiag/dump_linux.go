package inetdiag

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// bufferSize holds any reply: the kernel fills at most 32 KiB at a time
// (net/netlink/af_netlink.c, netlink_dump). A larger one would be cut off in a
// message, which nextMessage rejects.
const bufferSize = 64 << 10

// dump sends a request and passes every message of the reply to each. buf is
// scratch. interrupted says that the kernel called the dump inconsistent. After
// an error the rest of the reply is still on its way: fd should be closed.
func dump(fd int, request, buf []byte, each func(message) error) (interrupted bool, err error) {
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return false, fmt.Errorf("request sockets: %w", err)
	}
	for {
		n, err := unix.Read(fd, buf) // unlike recvmsg it allocates nothing
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return interrupted, fmt.Errorf("receive sockets: %w", err)
		}
		done, cut, err := replies(buf[:n], request, each)
		interrupted = interrupted || cut
		if done || err != nil {
			return interrupted, err
		}
	}
}
