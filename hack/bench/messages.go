package main

import (
	"encoding/binary"
	"fmt"
)

// The size of struct nlmsghdr, and the message types that end a dump
// (include/uapi/linux/netlink.h).
const (
	headerSize   = 16
	messageError = 2
	messageDone  = 3
)

// countMessages returns the number of sockets in a datagram, and whether the dump is done.
func countMessages(b []byte) (n int, done bool, err error) {
	for len(b) >= headerSize {
		size := int(binary.NativeEndian.Uint32(b))
		if size < headerSize || size > len(b) {
			return n, false, fmt.Errorf("message of %d bytes in a datagram with %d left", size, len(b))
		}
		switch binary.NativeEndian.Uint16(b[4:]) {
		case messageDone:
			return n, true, nil
		case messageError:
			return n, false, fmt.Errorf("error message of %d bytes", size)
		}
		n++
		b = b[min(len(b), (size+3)&^3):]
	}
	return n, false, nil
}
