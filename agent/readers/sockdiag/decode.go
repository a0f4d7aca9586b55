package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/internal/tcpstate"
)

// ErrFamily means that an address is neither IPv4 nor IPv6.
var ErrFamily = errors.New("unknown address family")

// Message types (include/uapi/linux/sock_diag.h and inet_diag.h).
const (
	// typeLegacy is TCPDIAG_GETSOCK. One dump has both IPv4 and IPv6.
	typeLegacy = 18
	// typeFamily is SOCK_DIAG_BY_FAMILY.
	typeFamily = 20
)

// Layout of struct inet_diag_msg (include/uapi/linux/inet_diag.h): family, state,
// timer and retransmits, then struct inet_diag_sockid, then 5 words.
const (
	socketSize = 72

	familyIPv4 = 2  // AF_INET of Linux
	familyIPv6 = 10 // AF_INET6 of Linux

	stateNewSynRecv = 12
)

// diagSocket is a socket of a dump. IPv4-mapped addresses are not unmapped.
type diagSocket struct {
	state         tcpstate.State
	local, remote netip.AddrPort
	// device is the index of the interface that the socket is bound to, or 0.
	device uint32
	// expires is the number of milliseconds until the timer ends. For TIME_WAIT this is
	// the end of the state.
	expires uint32
}

// decodeSocket decodes a struct inet_diag_msg. It ignores the attributes that follow.
func decodeSocket(b []byte) (diagSocket, error) {
	if len(b) < socketSize {
		return diagSocket{}, fmt.Errorf("%w: socket of %d bytes", netlink.ErrShort, len(b))
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
		s.state = tcpstate.Bound // sock_diag's form of TCP_BOUND_INACTIVE
	}
	return s, nil
}
