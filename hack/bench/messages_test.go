package main

import (
	"encoding/binary"
	"slices"
	"testing"
)

func buildMessage(kind uint16, body int) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(headerSize+body))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(b, make([]byte, 10+body)...)
}

func TestMessagesOfADumpAreCounted(t *testing.T) {
	const socket = 20
	long := buildMessage(socket, 0)
	binary.NativeEndian.PutUint32(long, 1000)
	for name, c := range map[string]struct {
		datagram []byte
		n        int
		done     bool
		fails    bool
	}{
		"nothing":               {},
		"two sockets":           {datagram: slices.Concat(buildMessage(socket, 72), buildMessage(socket, 72)), n: 2},
		"a socket and the end":  {datagram: slices.Concat(buildMessage(socket, 72), buildMessage(messageDone, 4)), n: 1, done: true},
		"an error":              {datagram: buildMessage(messageError, 20), fails: true},
		"a message that is cut": {datagram: slices.Concat(buildMessage(socket, 72), long), n: 1, fails: true},
		"a length of 0":         {datagram: make([]byte, headerSize), fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			n, done, err := countMessages(c.datagram)
			if n != c.n || done != c.done || (err != nil) != c.fails {
				t.Errorf("got %d, done %v (%v), want %d, %v, an error: %v", n, done, err, c.n, c.done, c.fails)
			}
		})
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(buildMessage(20, 72))
	f.Add(buildMessage(messageDone, 4))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, _, _ := countMessages(b); n*headerSize > len(b) {
			t.Errorf("%d sockets in %d bytes", n, len(b))
		}
	})
}
