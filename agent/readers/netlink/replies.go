package netlink

import (
	"encoding/binary"
	"fmt"
)

// ForEachReply passes the messages of one datagram that answer the request to each,
// and says whether the dump is done, and whether the kernel calls it
// interrupted. kind is what the answers are, which not every family has from the
// request. Messages of another sequence belong to an earlier request that was
// given up; they are passed over.
func ForEachReply(b, request []byte, kind uint16, each func(Message) error) (done, interrupted bool, err error) {
	sequence := binary.NativeEndian.Uint32(request[8:])
	for len(b) > 0 {
		m, rest, err := NextMessage(b)
		if err != nil {
			return false, interrupted, err
		}
		b = rest
		if m.Sequence != sequence {
			continue
		}
		interrupted = interrupted || m.Flags&FlagDumpInterrupted != 0
		switch m.Kind {
		case TypeDone, TypeError:
			return true, interrupted, m.Err()
		case kind:
			if err := each(m); err != nil {
				return false, interrupted, err
			}
		default:
			return false, interrupted, fmt.Errorf("%w: message type %d", ErrLength, m.Kind)
		}
	}
	return false, interrupted, nil
}
