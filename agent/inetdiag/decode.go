package inetdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"portreeve.io/portreeve/agent/socket"
)

// Errors of the decoders.
var (
	// ErrShort: a message ends before its own length says.
	ErrShort = errors.New("short netlink message")
	// ErrLength: a length that no message of this kind has.
	ErrLength = errors.New("impossible length in netlink message")
	// ErrFamily: neither IPv4 nor IPv6.
	ErrFamily = errors.New("unknown address family")
)

// Layout of struct nlmsghdr (include/uapi/linux/netlink.h).
const (
	headerSize = 16
	alignment  = 4

	typeError = 2
	typeDone  = 3
	// typeLegacy is TCPDIAG_GETSOCK: one dump gives IPv4 and IPv6.
	typeLegacy = 18
	// typeFamily is SOCK_DIAG_BY_FAMILY.
	typeFamily = 20

	flagDumpInterrupted = 0x10 // NLM_F_DUMP_INTR
)

// message is one netlink message of a reply.
type message struct {
	kind, flags uint16
	sequence    uint32
	body        []byte
}

// nextMessage takes the first message off b.
func nextMessage(b []byte) (m message, rest []byte, err error) {
	if len(b) < headerSize {
		return message{}, nil, fmt.Errorf("%w: %d bytes", ErrShort, len(b))
	}
	n := int64(binary.NativeEndian.Uint32(b))
	if n < headerSize {
		return message{}, nil, fmt.Errorf("%w: %d", ErrLength, n)
	}
	if n > int64(len(b)) {
		return message{}, nil, fmt.Errorf("%w: %d of %d bytes", ErrShort, len(b), n)
	}
	m = message{
		kind:     binary.NativeEndian.Uint16(b[4:]),
		flags:    binary.NativeEndian.Uint16(b[6:]),
		sequence: binary.NativeEndian.Uint32(b[8:]),
		body:     b[headerSize:n],
	}
	// The last message may come without its padding.
	return m, b[min((n+alignment-1)&^(alignment-1), int64(len(b))):], nil
}

// failure is the error in an NLMSG_ERROR or NLMSG_DONE, which both start with a
// negative errno; nil for an acknowledgement and a good end.
func (m message) failure() error {
	if len(m.body) < 4 {
		if m.kind == typeDone {
			return nil
		}
		return fmt.Errorf("%w: an error of %d bytes", ErrShort, len(m.body))
	}
	code := int32(binary.NativeEndian.Uint32(m.body))
	if code == 0 {
		return nil
	}
	if code > 0 || code < -4095 { // MAX_ERRNO
		return fmt.Errorf("%w: error code %d", ErrLength, code)
	}
	return syscall.Errno(-code)
}

// Layout of struct inet_diag_msg (include/uapi/linux/inet_diag.h): family, state,
// timer, retransmits; then struct inet_diag_sockid; then 5 words.
const (
	socketSize = 72

	familyIPv4 = 2  // AF_INET of Linux
	familyIPv6 = 10 // AF_INET6 of Linux

	stateNewSynRecv = 12
)

// sock is a socket of a dump. Addresses are as the kernel keeps them, IPv4-mapped
// ones not unmapped.
type sock struct {
	state         socket.State
	local, remote netip.AddrPort
	// device is the interface index that it is bound to, 0 for none.
	device uint32
	// expires is in milliseconds until the timer ends: for TIME_WAIT, its end.
	expires uint32
}

// decodeSocket reads a struct inet_diag_msg. The attributes after it say nothing
// that is needed.
func decodeSocket(b []byte) (sock, error) {
	if len(b) < socketSize {
		return sock{}, fmt.Errorf("%w: a socket of %d bytes", ErrShort, len(b))
	}
	s := sock{
		state:   socket.State(b[1]),
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
		return sock{}, fmt.Errorf("%w: %d", ErrFamily, b[0])
	}
	s.local = netip.AddrPortFrom(local, binary.BigEndian.Uint16(b[4:]))
	s.remote = netip.AddrPortFrom(remote, binary.BigEndian.Uint16(b[6:]))
	switch {
	case s.state == stateNewSynRecv:
		s.state = socket.SynRecv
	case s.state == socket.Close && s.remote.Port() == 0:
		s.state = socket.Bound // how the kernel reports what it calls TCP_BOUND_INACTIVE
	}
	return s, nil
}
