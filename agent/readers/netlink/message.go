// Package netlink asks the kernel by netlink(7) and takes its answers apart, as
// far as every family has them in common. It allocates nothing for a message.
package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
)

// Errors of the decoders.
var (
	// ErrShort: a message ends before its own length says.
	ErrShort = errors.New("short netlink message")
	// ErrLength: a length that no message of this kind has.
	ErrLength = errors.New("impossible length in netlink message")
)

// Layout of struct nlmsghdr (include/uapi/linux/netlink.h).
const (
	HeaderSize = 16
	alignment  = 4

	TypeError = 2
	TypeDone  = 3

	flagRequest = 0x1   // NLM_F_REQUEST
	flagDump    = 0x300 // NLM_F_DUMP

	FlagDumpInterrupted = 0x10 // NLM_F_DUMP_INTR
)

// Message is one netlink message of a reply.
type Message struct {
	Kind, Flags uint16
	Sequence    uint32
	Body        []byte
}

// NextMessage takes the first message off b.
func NextMessage(b []byte) (m Message, rest []byte, err error) {
	if len(b) < HeaderSize {
		return Message{}, nil, fmt.Errorf("%w: %d bytes", ErrShort, len(b))
	}
	n := int64(binary.NativeEndian.Uint32(b))
	if n < HeaderSize {
		return Message{}, nil, fmt.Errorf("%w: %d", ErrLength, n)
	}
	if n > int64(len(b)) {
		return Message{}, nil, fmt.Errorf("%w: %d of %d bytes", ErrShort, len(b), n)
	}
	m = Message{
		Kind:     binary.NativeEndian.Uint16(b[4:]),
		Flags:    binary.NativeEndian.Uint16(b[6:]),
		Sequence: binary.NativeEndian.Uint32(b[8:]),
		Body:     b[HeaderSize:n],
	}
	// The last message may come without its padding.
	return m, b[min((n+alignment-1)&^(alignment-1), int64(len(b))):], nil
}

// Err is the error in an NLMSG_ERROR or NLMSG_DONE, which both start with a
// negative errno; nil for an acknowledgement and a good end.
func (m Message) Err() error {
	if len(m.Body) < 4 {
		if m.Kind == TypeDone {
			return nil
		}
		return fmt.Errorf("%w: an error of %d bytes", ErrShort, len(m.Body))
	}
	code := int32(binary.NativeEndian.Uint32(m.Body))
	if code == 0 {
		return nil
	}
	if code > 0 || code < -4095 { // MAX_ERRNO
		return fmt.Errorf("%w: error code %d", ErrLength, code)
	}
	return syscall.Errno(-code)
}

// NewDumpRequest is a request of that kind for everything there is, with room for a
// body of size bytes after the header.
func NewDumpRequest(kind uint16, size int, sequence uint32) []byte {
	b := make([]byte, HeaderSize+size)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flagRequest|flagDump)
	binary.NativeEndian.PutUint32(b[8:], sequence)
	return b
}
