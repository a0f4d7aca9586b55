// Package netlink sends netlink(7) requests to the kernel and decodes what replies of all
// families have in common. It does not allocate memory per message.
package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
)

// Errors of the decoders.
var (
	// ErrShort means that a message is shorter than its header says.
	ErrShort = errors.New("short netlink message")
	// ErrLength means that a message of this kind can't have such a length or code.
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

// Message is a netlink message of a reply.
type Message struct {
	Kind, Flags uint16
	Sequence    uint32
	Body        []byte
}

// NextMessage decodes the first message in b. rest is b after it.
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
	// The last message may lack its padding.
	return m, b[min((n+alignment-1)&^(alignment-1), int64(len(b))):], nil
}

// Err returns the error in an NLMSG_ERROR or NLMSG_DONE, which both start with a negative
// errno, or nil for an acknowledgement and a successful end.
func (m Message) Err() error {
	if len(m.Body) < 4 {
		if m.Kind == TypeDone {
			return nil
		}
		return fmt.Errorf("%w: error message of %d bytes", ErrShort, len(m.Body))
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

// NewDumpRequest returns a request of the given kind for a dump, with space for a body of
// size bytes after the header.
func NewDumpRequest(kind uint16, size int, sequence uint32) []byte {
	b := make([]byte, HeaderSize+size)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flagRequest|flagDump)
	binary.NativeEndian.PutUint32(b[8:], sequence)
	return b
}
