package netlink

import (
	"encoding/binary"
	"fmt"
)

// Layout of struct nlattr (include/uapi/linux/netlink.h).
const (
	attributeHeaderSize = 4
	// The two highest bits of a type are flags: NLA_F_NESTED, NLA_F_NET_BYTEORDER.
	attributeTypeMask   = 0x3fff
	attributeNestedFlag = 0x8000
)

// NextAttribute takes the first attribute off b, which are the attributes of a
// message, or those inside a nested one.
func NextAttribute(b []byte) (kind uint16, value, rest []byte, err error) {
	if len(b) < attributeHeaderSize {
		return 0, nil, nil, fmt.Errorf("%w: an attribute of %d bytes", ErrShort, len(b))
	}
	n := int(binary.NativeEndian.Uint16(b))
	if n < attributeHeaderSize {
		return 0, nil, nil, fmt.Errorf("%w: an attribute of %d bytes", ErrLength, n)
	}
	if n > len(b) {
		return 0, nil, nil, fmt.Errorf("%w: %d of an attribute's %d bytes", ErrShort, len(b), n)
	}
	kind = binary.NativeEndian.Uint16(b[2:]) & attributeTypeMask
	return kind, b[attributeHeaderSize:n], b[min((n+alignment-1)&^(alignment-1), len(b)):], nil
}

// AppendAttribute appends an attribute whose value's length is a multiple of 4.
func AppendAttribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(attributeHeaderSize+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(b, value...)
}
