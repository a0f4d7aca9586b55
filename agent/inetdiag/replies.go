package inetdiag

import (
	"encoding/binary"
	"fmt"
)

// replies passes the messages of one datagram that answer the request to each,
// and says whether the dump is done, and whether the kernel calls it
// interrupted. Messages of another sequence belong to an earlier request that
// was given up; they are passed over.
func replies(b, request []byte, each func(message) error) (done, interrupted bool, err error) {
	sequence := binary.NativeEndian.Uint32(request[8:])
	kind := binary.NativeEndian.Uint16(request[4:])
	for len(b) > 0 {
		m, rest, err := nextMessage(b)
		if err != nil {
			return false, interrupted, err
		}
		b = rest
		if m.sequence != sequence {
			continue
		}
		interrupted = interrupted || m.flags&flagDumpInterrupted != 0
		switch m.kind {
		case typeDone, typeError:
			return true, interrupted, m.failure()
		case kind:
			if err := each(m); err != nil {
				return false, interrupted, err
			}
		default:
			return false, interrupted, fmt.Errorf("%w: message type %d", ErrLength, m.kind)
		}
	}
	return false, interrupted, nil
}
