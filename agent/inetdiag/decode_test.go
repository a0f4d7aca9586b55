package inetdiag

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
)

var update = flag.Bool("update", false, "write testdata anew")

func (s sock) String() string {
	return fmt.Sprintf("%2d %v > %v device %d expires %d", s.state, s.local, s.remote, s.device, s.expires)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// TestCapturedDump decodes what a kernel really sent (see TestCapture).
func TestCapturedDump(t *testing.T) {
	for _, name := range []string{"tcp", "udp4", "udp6"} {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile("testdata/" + name + ".dump")
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			done := false
			for len(b) > 0 {
				m, rest, err := nextMessage(b)
				if err != nil {
					t.Fatal(err)
				}
				b = rest
				if m.kind == typeDone {
					done = m.failure() == nil
					continue
				}
				s, err := decodeSocket(m.body)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintln(&out, s)
			}
			if !done {
				t.Error("no end")
			}
			golden(t, name+".golden", out.String())
		})
	}
}

func netlink(length uint32, kind, flags uint16, sequence uint32, body ...byte) []byte {
	b := make([]byte, headerSize, headerSize+len(body))
	binary.NativeEndian.PutUint32(b, length)
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[8:], sequence)
	return append(b, body...)
}

func code(n int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestReplies(t *testing.T) {
	request := tcpRequest(7)
	row := netlink(20, typeLegacy, 0, 7, 1, 2, 3, 4)
	for name, test := range map[string]struct {
		b           []byte
		rows        int
		done        bool
		interrupted bool
		err         error
	}{
		"rows, and more to come":              {join(row, row), 2, false, false, nil},
		"the end":                             {join(row, netlink(20, typeDone, 0, 7, code(0)...)), 1, true, false, nil},
		"an end without a code":               {netlink(16, typeDone, 0, 7), 0, true, false, nil},
		"an end that failed":                  {netlink(20, typeDone, 0, 7, code(-int32(syscall.ENOMEM))...), 0, true, false, syscall.ENOMEM},
		"an error":                            {netlink(20, typeError, 0, 7, code(-int32(syscall.EPERM))...), 0, true, false, syscall.EPERM},
		"an error without a code":             {netlink(16, typeError, 0, 7), 0, true, false, ErrShort},
		"an error that isn't one":             {netlink(20, typeError, 0, 7, code(5)...), 0, true, false, ErrLength},
		"a dump that was interrupted":         {netlink(20, typeLegacy, flagDumpInterrupted, 7, 1, 2, 3, 4), 1, false, true, nil},
		"an end that says it was interrupted": {netlink(20, typeDone, flagDumpInterrupted, 7, code(0)...), 0, true, true, nil},
		"leftovers of another request":        {join(netlink(20, typeDone, 0, 6, code(0)...), row), 1, false, false, nil},
		"another kind of message":             {netlink(16, typeFamily, 0, 7), 0, false, false, ErrLength},
		"a length that isn't a multiple of 4, and its padding": {
			join(netlink(17, typeLegacy, 0, 7, 1, 0, 0, 0), row), 2, false, false, nil},
		"a last message without its padding": {netlink(17, typeLegacy, 0, 7, 1), 1, false, false, nil},
		"a header cut short":                 {row[:15], 0, false, false, ErrShort},
		"a message cut short":                {join(row, row[:19]), 1, false, false, ErrShort},
		"a length below the header's":        {netlink(15, typeLegacy, 0, 7), 0, false, false, ErrLength},
		"a length of zero":                   {netlink(0, typeLegacy, 0, 7), 0, false, false, ErrLength},
		"the largest length":                 {netlink(1<<32-1, typeLegacy, 0, 7), 0, false, false, ErrShort},
		"nothing":                            {nil, 0, false, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			rows := 0
			done, interrupted, err := replies(test.b, request, func(message) error { rows++; return nil })
			if rows != test.rows || done != test.done || interrupted != test.interrupted || !errors.Is(err, test.err) {
				t.Errorf("rows %d done %v interrupted %v %v, want %d %v %v %v",
					rows, done, interrupted, err, test.rows, test.done, test.interrupted, test.err)
			}
		})
	}
	errStop := errors.New("stop")
	if _, _, err := replies(row, request, func(message) error { return errStop }); !errors.Is(err, errStop) {
		t.Errorf("%v, want the callback's error", err)
	}
}

func TestDecodeSocket(t *testing.T) {
	row := func(family, state byte, attributes ...byte) []byte {
		b := make([]byte, socketSize, socketSize+len(attributes))
		b[0], b[1] = family, state
		b[6], b[7] = 0, 80
		return append(b, attributes...)
	}
	for name, test := range map[string]struct {
		b    []byte
		want string
		err  error
	}{
		"NEW_SYN_RECV is SYN_RECV":      {row(2, 12), " 3 0.0.0.0:0 > 0.0.0.0:80 device 0 expires 0", nil},
		"a socket without attributes":   {row(10, 10), "10 [::]:0 > [::]:80 device 0 expires 0", nil},
		"attributes that make no sense": {row(10, 10, 0, 0, 0), "10 [::]:0 > [::]:80 device 0 expires 0", nil},
		"one byte too few":              {row(2, 1)[:socketSize-1], "", ErrShort},
		"a family that isn't ours":      {row(1, 1), "", ErrFamily},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := decodeSocket(test.b)
			if !errors.Is(err, test.err) || err == nil && s.String() != test.want {
				t.Errorf("%v %v, want %v %v", s, err, test.want, test.err)
			}
		})
	}
}

func FuzzReplies(f *testing.F) {
	for _, name := range []string{"tcp", "udp4", "udp6"} {
		b, err := os.ReadFile("testdata/" + name + ".dump")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(netlink(20, typeDone, flagDumpInterrupted, 1, code(-5)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		// The sequence and kind of the first message, so that rows are reached.
		request := tcpRequest(0)
		if len(b) >= headerSize {
			copy(request[4:6], b[4:6])
			copy(request[8:12], b[8:12])
		}
		rows := 0
		_, _, err := replies(b, request, func(m message) error {
			rows++
			s, err := decodeSocket(m.body)
			if err != nil {
				return err
			}
			if !s.local.IsValid() || !s.remote.IsValid() || s.local.Addr().Is4() != s.remote.Addr().Is4() {
				t.Errorf("%v of %x", s, m.body)
			}
			if s.state == socket.State(stateNewSynRecv) {
				t.Errorf("%v is not folded", s)
			}
			return nil
		})
		if rows*headerSize > len(b) {
			t.Errorf("%d rows in %d bytes", rows, len(b))
		}
		if err == nil && len(b) > 0 && len(b) < headerSize {
			t.Errorf("%d bytes are no message", len(b))
		}
	})
}
