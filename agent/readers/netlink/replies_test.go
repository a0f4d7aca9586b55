package netlink

import (
	"encoding/binary"
	"errors"
	"syscall"
	"testing"
)

// replyKind is the message type of the replies in these tests. As with conntrack, it
// differs from the request's.
const replyKind = 18

func buildMessage(length uint32, kind, flags uint16, sequence uint32, body ...byte) []byte {
	b := make([]byte, HeaderSize, HeaderSize+len(body))
	binary.NativeEndian.PutUint32(b, length)
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[8:], sequence)
	return append(b, body...)
}

func encodeCode(n int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }

func joinBytes(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestReplies(t *testing.T) {
	request := NewDumpRequest(replyKind+2, 0, 7)
	row := buildMessage(20, replyKind, 0, 7, 1, 2, 3, 4)
	for name, test := range map[string]struct {
		b           []byte
		rows        int
		done        bool
		interrupted bool
		err         error
	}{
		"rows, and more to come":           {joinBytes(row, row), 2, false, false, nil},
		"the end":                          {joinBytes(row, buildMessage(20, TypeDone, 0, 7, encodeCode(0)...)), 1, true, false, nil},
		"an end without a code":            {buildMessage(16, TypeDone, 0, 7), 0, true, false, nil},
		"an end that failed":               {buildMessage(20, TypeDone, 0, 7, encodeCode(-int32(syscall.ENOMEM))...), 0, true, false, syscall.ENOMEM},
		"an error":                         {buildMessage(20, TypeError, 0, 7, encodeCode(-int32(syscall.EPERM))...), 0, true, false, syscall.EPERM},
		"an error without a code":          {buildMessage(16, TypeError, 0, 7), 0, true, false, ErrShort},
		"an error with a positive code":    {buildMessage(20, TypeError, 0, 7, encodeCode(5)...), 0, true, false, ErrLength},
		"an interrupted dump":              {buildMessage(20, replyKind, FlagDumpInterrupted, 7, 1, 2, 3, 4), 1, false, true, nil},
		"an end with the interrupted flag": {buildMessage(20, TypeDone, FlagDumpInterrupted, 7, encodeCode(0)...), 0, true, true, nil},
		"leftovers of another request":     {joinBytes(buildMessage(20, TypeDone, 0, 6, encodeCode(0)...), row), 1, false, false, nil},
		"another type of message":          {buildMessage(16, replyKind+1, 0, 7), 0, false, false, ErrLength},
		"a length that isn't a multiple of 4, and its padding": {
			joinBytes(buildMessage(17, replyKind, 0, 7, 1, 0, 0, 0), row), 2, false, false, nil},
		"a last message without its padding": {buildMessage(17, replyKind, 0, 7, 1), 1, false, false, nil},
		"a header cut short":                 {row[:15], 0, false, false, ErrShort},
		"a message cut short":                {joinBytes(row, row[:19]), 1, false, false, ErrShort},
		"a length below the header's":        {buildMessage(15, replyKind, 0, 7), 0, false, false, ErrLength},
		"a length of zero":                   {buildMessage(0, replyKind, 0, 7), 0, false, false, ErrLength},
		"the largest length":                 {buildMessage(1<<32-1, replyKind, 0, 7), 0, false, false, ErrShort},
		"nothing":                            {nil, 0, false, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			rows := 0
			done, interrupted, err := ForEachReply(test.b, request, replyKind, func(Message) error { rows++; return nil })
			if rows != test.rows || done != test.done || interrupted != test.interrupted || !errors.Is(err, test.err) {
				t.Errorf("rows %d done %v interrupted %v %v, want %d %v %v %v",
					rows, done, interrupted, err, test.rows, test.done, test.interrupted, test.err)
			}
		})
	}
	errStop := errors.New("stop")
	if _, _, err := ForEachReply(row, request, replyKind, func(Message) error { return errStop }); !errors.Is(err, errStop) {
		t.Errorf("%v, want the callback's error", err)
	}
}

func FuzzReplies(f *testing.F) {
	f.Add(buildMessage(20, TypeDone, FlagDumpInterrupted, 1, encodeCode(-5)...))
	f.Add(joinBytes(buildMessage(20, replyKind, 0, 1, 1, 2, 3, 4), buildMessage(16, TypeDone, 0, 1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Use the first message's sequence and type, so that the callback is reached.
		request, answer := NewDumpRequest(0, 0, 0), uint16(0)
		if len(b) >= HeaderSize {
			copy(request[8:12], b[8:12])
			answer = binary.NativeEndian.Uint16(b[4:])
		}
		rows, size := 0, 0
		_, _, err := ForEachReply(b, request, answer, func(m Message) error {
			rows++
			size += len(m.Body)
			return nil
		})
		if rows*HeaderSize+size > len(b) {
			t.Errorf("%d rows with %d bytes in %d", rows, size, len(b))
		}
		if err == nil && len(b) > 0 && len(b) < HeaderSize {
			t.Errorf("%d bytes are not a message", len(b))
		}
	})
}
