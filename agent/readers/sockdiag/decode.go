package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/internal/tcpstate"
)

// ErrFamily says that an address is neither IPv4 nor IPv6.
var ErrFamily = errors.New("unknown address family")

// The kinds of message (include/uapi/linux/sock_diag.h and inet_diag.h).
const (
	// typeLegacy is TCPDIAG_GETSOCK: one dump gives IPv4 and IPv6.
	typeLegacy = 18
	// typeFamily is SOCK_DIAG_BY_FAMILY.
	typeFamily = 20
)

// Layout of struct inet_diag_msg (include/uapi/linux/inet_diag.h): family, state,
// timer, retransmits; then struct inet_diag_sockid; then 5 words.
const (
	socketSize = 72

	familyIPv4 = 2  // AF_INET of Linux
	familyIPv6 = 10 // AF_INET6 of Linux

	stateNewSynRecv = 12
)

// diagSocket is a socket of a dump. Addresses are as the kernel keeps them, IPv4-mapped
// ones not unmapped.
type diagSocket struct {
	state         tcpstate.State
	local, remote netip.AddrPort
	// device is the interface index that it is bound to, 0 for none.
	device uint32
	// expires is in milliseconds until the timer ends: for TIME_WAIT, its end.
	expires uint32
}

// decodeSocket reads a struct inet_diag_msg. The attributes after it say nothing
// that is needed.
func decodeSocket(b []byte) (diagSocket, error) {
	if len(b) < socketSize {
		return diagSocket{}, fmt.Errorf("%w: a socket of %d bytes", netlink.ErrShort, len(b))
	}
	s := diagSocket{
		state:   tcpstate.State(b[1]),
		device:  binary.NativeEndian.Uint32(b[40:]),
		expires: binary.NativeEndian.Uint32(b[52:]),
	}
	src, dst := b[8:24], b[24:40]
	var local, remote netip.Addr
	switch b[0] {
	case familyIPv4:
		local, remote = netip.AddrFrom4([4]byte(src[:4])), netip.AddrFrom4([4]byte(dst[:4]))
	case familyIPv6:
		local, remote = netip.AddrFrom16([16]byte(src)), netip.AddrFrom16([16]byte(dst))
	default:
		return diagSocket{}, fmt.Errorf("%w: %d", ErrFamily, b[0])
	}
	s.local = netip.AddrPortFrom(local, binary.BigEndian.Uint16(b[4:]))
	s.remote = netip.AddrPortFrom(remote, binary.BigEndian.Uint16(b[6:]))
	switch {
	case s.state == stateNewSynRecv:
		s.state = tcpstate.SynRecv
	case s.state == tcpstate.Close && s.remote.Port() == 0:
		s.state = tcpstate.Bound // how the kernel reports what it calls TCP_BOUND_INACTIVE
	}
	return s, nil
}
