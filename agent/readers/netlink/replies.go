package netlink

import (
	"encoding/binary"
	"fmt"
)

// ForEachReply passes the messages of one datagram that answer the request to each. done
// reports whether the dump is complete, and interrupted whether the kernel marked it as
// inconsistent. kind is the replies' message type, which in some families differs from
// the request's. Messages with another sequence number belong to an abandoned request
// and are skipped.
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
