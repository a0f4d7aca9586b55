package procnet

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"portreeve.io/portreeve/agent/readers/portusage"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

func TestDecodeRow(t *testing.T) {
	at := netip.MustParseAddrPort
	tests := map[string]struct {
		line     string
		protocol socket.Protocol
		want     portusage.Row
		err      error
	}{
		"a listener on every address": {
			line: "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000 100 0 0 10 0",
			want: portusage.Row{Local: netip.AddrPortFrom(netip.Addr{}, 8080), State: tcpstate.Listen, Remaining: -1},
		},
		"a connection": {
			line: "   1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 20 4 30 10 -1",
			want: portusage.Row{Local: at("127.0.0.1:50000"), Remote: at("127.0.0.1:8080"), State: tcpstate.Established, Remaining: -1},
		},
		"TIME_WAIT with 47.11 s remaining": {
			line: "   2: 0100007F:C351 0100007F:1F90 06 00000000:00000000 03:00001267 00000000     0        0 0 3 0000000000000000",
			want: portusage.Row{Local: at("127.0.0.1:50001"), Remote: at("127.0.0.1:8080"), State: tcpstate.TimeWait, Remaining: 47110},
		},
		"a handshake": {
			line: "   3: 0100007F:1F90 0100007F:C350 0C 00000000:00000000 01:00000063 00000000     0        0 0 1 0000000000000000",
			want: portusage.Row{Local: at("127.0.0.1:8080"), Remote: at("127.0.0.1:50000"), State: tcpstate.SynRecv, Remaining: -1},
		},
		"IPv6": {
			line: "   0: B80D0120000000000000000001000000:C350 B80D0120000000000000000002000000:01BB 08 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 20 4 30 10 -1",
			want: portusage.Row{Local: at("[2001:db8::1]:50000"), Remote: at("[2001:db8::2]:443"), State: tcpstate.CloseWait, Remaining: -1},
		},
		"an IPv4-mapped address is IPv4": {
			line: "   0: 0000000000000000FFFF00000100007F:C350 0000000000000000FFFF00000100007F:01BB 01 00000000:00000000 00:00000000 00000000 0 0 1 1 0",
			want: portusage.Row{Local: at("127.0.0.1:50000"), Remote: at("127.0.0.1:443"), State: tcpstate.Established, Remaining: -1},
		},
		"UDP": {
			line:     " 1234: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 22 2 0000000000000000 0",
			protocol: socket.UDP,
			want:     portusage.Row{Protocol: socket.UDP, Local: at("127.0.0.1:53"), Remaining: -1},
		},
		"a truncated row":     {line: "   0: 00000000:1F90 00000000:0000 0A", err: ErrMalformed},
		"an unknown state":    {line: "   0: 00000000:1F90 00000000:0000 1F 00000000:00000000 00:00000000 0", err: ErrMalformed},
		"a truncated address": {line: "   0: 0000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 0", err: ErrMalformed},
		"an empty line":       {err: ErrMalformed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got portusage.Row
			err := DecodeRow([]byte(test.line), test.protocol, &got)
			if !errors.Is(err, test.err) {
				t.Fatalf("%v, want %v", err, test.err)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateComparable(netip.AddrPort{})); err == nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzDecodeRow(f *testing.F) {
	f.Add([]byte("   2: 0100007F:C351 0100007F:1F90 06 00000000:00000000 03:00001267 00000000     0"), false)
	f.Add([]byte(" 1234: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000"), true)
	f.Fuzz(func(t *testing.T, line []byte, udp bool) {
		protocol := socket.TCP
		if udp {
			protocol = socket.UDP
		}
		var r portusage.Row
		if DecodeRow(line, protocol, &r) != nil {
			return
		}
		if r.Protocol != protocol || r.State > tcpstate.Closing || r.Remaining < -1 || r.Local.Addr().Is4In6() {
			t.Errorf("%+v", r)
		}
	})
}
