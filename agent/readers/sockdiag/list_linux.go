package sockdiag

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// Socket is a TCP socket. IPv4-mapped addresses are unmapped.
type Socket struct {
	State         tcpstate.State
	Local, Remote netip.AddrPort
	// ReceiveQueue and SendQueue are, for a listener, the length of its accept queue and the
	// limit of that; for other sockets, bytes.
	ReceiveQueue, SendQueue uint32
	// Inode is the number of the socket in /proc/PID/fd, 0 if it belongs to no process.
	Inode uint32
}

// States selects the TCP states of a list.
type States uint32

// SelectStates returns the selection of some states.
func SelectStates(states ...tcpstate.State) (s States) {
	for _, state := range states {
		s |= 1 << state
	}
	return s
}

// ConnectedStates are the states of sockets with a peer.
const ConnectedStates = States(allStates &^ (1<<tcpstate.Listen | 1<<tcpstate.Close | 1<<13)) // 13 is TCP_BOUND_INACTIVE

// ListSockets calls each for the TCP sockets of the calling thread's network namespace in one
// of the states whose local port is in the range. The kernel selects them. It needs no
// capability.
func ListSockets(states States, local ports.Range, each func(Socket)) error {
	fd, err := netlink.Open(unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request := newPortsRequest(uint32(states), local, 1)
	_, err = netlink.Dump(fd, request, typeLegacy, make([]byte, netlink.BufferSize), func(m netlink.Message) error {
		k, err := decodeSocket(m.Body)
		if err != nil {
			return err
		}
		each(Socket{
			State: k.state, Local: unmap(k.local), Remote: unmap(k.remote),
			ReceiveQueue: binary.NativeEndian.Uint32(m.Body[56:]), SendQueue: binary.NativeEndian.Uint32(m.Body[60:]),
			Inode: binary.NativeEndian.Uint32(m.Body[68:]),
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("list sockets: %w", err)
	}
	return nil
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
