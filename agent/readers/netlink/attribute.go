package netlink

import (
	"encoding/binary"
	"fmt"
)

// Layout of struct nlattr (include/uapi/linux/netlink.h).
const (
	attributeHeaderSize = 4
	// The two highest bits of a type are the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER.
	attributeTypeMask   = 0x3fff
	attributeNestedFlag = 0x8000
)

// NextAttribute decodes the first attribute in b, which has the attributes of a message
// or of a nested attribute. rest is b after it.
func NextAttribute(b []byte) (kind uint16, value, rest []byte, err error) {
	if len(b) < attributeHeaderSize {
		return 0, nil, nil, fmt.Errorf("%w: attribute of %d bytes", ErrShort, len(b))
	}
	n := int(binary.NativeEndian.Uint16(b))
	if n < attributeHeaderSize {
		return 0, nil, nil, fmt.Errorf("%w: attribute of %d bytes", ErrLength, n)
	}
	if n > len(b) {
		return 0, nil, nil, fmt.Errorf("%w: attribute with %d of %d bytes", ErrShort, len(b), n)
	}
	kind = binary.NativeEndian.Uint16(b[2:]) & attributeTypeMask
	return kind, b[attributeHeaderSize:n], b[min((n+alignment-1)&^(alignment-1), len(b)):], nil
}

// AppendAttribute appends an attribute. The length of value must be a multiple of 4.
func AppendAttribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(attributeHeaderSize+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(b, value...)
}
