package sockdiag

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/golden"
)

func (s diagSocket) String() string {
	return fmt.Sprintf("%2d %v > %v device %d expires %d", s.state, s.local, s.remote, s.device, s.expires)
}

// TestCapturedDump decodes a dump from a real kernel (see TestCapture).
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
				m, rest, err := netlink.NextMessage(b)
				if err != nil {
					t.Fatal(err)
				}
				b = rest
				if m.Kind == netlink.TypeDone {
					done = m.Err() == nil
					continue
				}
				s, err := decodeSocket(m.Body)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintln(&out, s)
			}
			if !done {
				t.Error("the dump has no end")
			}
			golden.Check(t, "testdata/"+name+".golden", out.String())
		})
	}
}

func joinBytes(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
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
		"one byte too few":              {row(2, 1)[:socketSize-1], "", netlink.ErrShort},
		"an unknown address family":     {row(1, 1), "", ErrFamily},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := decodeSocket(test.b)
			if !errors.Is(err, test.err) || err == nil && s.String() != test.want {
				t.Errorf("%v %v, want %v %v", s, err, test.want, test.err)
			}
		})
	}
}

func FuzzDecodeSocket(f *testing.F) {
	for _, name := range []string{"tcp", "udp4", "udp6"} {
		b, err := os.ReadFile("testdata/" + name + ".dump")
		if err != nil {
			f.Fatal(err)
		}
		for len(b) > 0 {
			var m netlink.Message
			if m, b, err = netlink.NextMessage(b); err != nil {
				f.Fatal(err)
			}
			f.Add(m.Body)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeSocket(b)
		if err != nil {
			return
		}
		if !s.local.IsValid() || !s.remote.IsValid() || s.local.Addr().Is4() != s.remote.Addr().Is4() {
			t.Errorf("%v of %x", s, b)
		}
		if s.state == tcpstate.State(stateNewSynRecv) {
			t.Errorf("%v was not mapped to SYN_RECV", s)
		}
	})
}
