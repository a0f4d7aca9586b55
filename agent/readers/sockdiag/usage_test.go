package sockdiag

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// parseSocket parses "state local remote [expires=N] [device=N]".
func parseSocket(t testing.TB, text string) diagSocket {
	t.Helper()
	f := strings.Fields(text)
	states := map[string]tcpstate.State{
		"estab": tcpstate.Established, "syn-sent": tcpstate.SynSent, "syn-recv": tcpstate.SynRecv, "fin-wait-2": tcpstate.FinWait2,
		"time-wait": tcpstate.TimeWait, "close-wait": tcpstate.CloseWait, "listen": tcpstate.Listen, "bound": tcpstate.Bound,
	}
	s := diagSocket{state: states[f[0]], local: netip.MustParseAddrPort(f[1]), remote: netip.MustParseAddrPort(f[2])}
	for _, option := range f[3:] {
		name, value, _ := strings.Cut(option, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		switch {
		case err != nil:
			t.Fatal(err)
		case name == "expires":
			s.expires = uint32(n)
		case name == "device":
			s.device = uint32(n)
		}
	}
	return s
}

var settingsWith100Ports = socket.Settings{Range: ports.Range{First: 40000, Last: 40099}, Reuse: socket.ReuseLoopback,
	ReuseDelay: time.Second, Timestamps: true}

func TestPortUsage(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.9")
	for name, test := range map[string]struct {
		tcp, udp []string
		reserved string
		want     socket.Network
	}{
		"sockets to one destination share a pool, whatever their state": {
			tcp: []string{"estab 10.0.0.1:40000 10.0.0.9:80", "close-wait 10.0.0.1:40002 10.0.0.9:80",
				"syn-sent 10.0.0.1:40004 10.0.0.9:80"},
			want: socket.Network{InUse: 3, States: tcpstate.Counts{1: 1, 2: 1, 8: 1}, Destinations: []socket.Destination{
				{Source: a, Address: b, Port: 80, States: tcpstate.Counts{1: 1, 2: 1, 8: 1}}}},
		},
		"each source, address and port has its own pool, and a port may be in several": {
			tcp: []string{"estab 10.0.0.1:40000 10.0.0.9:80", "estab 10.0.0.1:40000 10.0.0.9:81",
				"estab 10.0.0.9:40000 10.0.0.9:80"},
			want: socket.Network{InUse: 1, States: tcpstate.Counts{1: 3}, Destinations: []socket.Destination{
				{Source: a, Address: b, Port: 80, States: tcpstate.Counts{1: 1}},
				{Source: a, Address: b, Port: 81, States: tcpstate.Counts{1: 1}},
				{Source: b, Address: b, Port: 80, States: tcpstate.Counts{1: 1}}}},
		},
		"IPv4-mapped addresses share the IPv4 pool": {
			tcp: []string{"estab 10.0.0.1:40000 10.0.0.9:80", "estab [::ffff:10.0.0.1]:40001 [::ffff:10.0.0.9]:80"},
			want: socket.Network{InUse: 2, States: tcpstate.Counts{1: 2}, Destinations: []socket.Destination{
				{Source: a, Address: b, Port: 80, States: tcpstate.Counts{1: 2}}}},
		},
		"sockets that are bound to different interfaces don't compete": {
			tcp: []string{"estab 10.0.0.1:40000 10.0.0.9:80 device=3", "estab 10.0.0.1:40000 10.0.0.9:80 device=4"},
			want: socket.Network{InUse: 1, States: tcpstate.Counts{1: 2}, Destinations: []socket.Destination{
				{Source: a, Address: b, Port: 80, States: tcpstate.Counts{1: 1}},
				{Source: a, Address: b, Port: 80, States: tcpstate.Counts{1: 1}}}},
		},
		"ports outside of the range and reserved ones count only by state": {
			tcp:      []string{"estab 10.0.0.1:39999 10.0.0.9:80", "estab 10.0.0.1:40100 10.0.0.9:80", "estab 10.0.0.1:40050 10.0.0.9:80"},
			udp:      []string{"bound 10.0.0.1:40050 0.0.0.0:0", "bound 10.0.0.1:53 0.0.0.0:0"},
			reserved: "40050",
			want:     socket.Network{States: tcpstate.Counts{1: 3}, UDPSockets: 2},
		},
		"a listener's port is skipped, and its clients belong to no pool": {
			tcp: []string{"listen 0.0.0.0:40000 0.0.0.0:0", "estab 10.0.0.1:40000 10.0.0.9:5000",
				"time-wait 10.0.0.1:40000 10.0.0.9:5001", "syn-recv 10.0.0.1:40000 10.0.0.9:5002"},
			want: socket.Network{InUse: 1, Skipped: 1, SkippedListening: 1, States: tcpstate.Counts{1: 1, 3: 1, 6: 1, 10: 1}, ListenPorts: []uint16{40000}},
		},
		"a listener's port is skipped whichever other socket has it": {
			tcp:  []string{"listen 127.0.0.1:40000 0.0.0.0:0", "syn-sent 10.0.0.1:40000 10.0.0.9:80", "estab [::1]:40000 [::1]:80"},
			want: socket.Network{InUse: 1, Skipped: 1, SkippedListening: 1, States: tcpstate.Counts{1: 1, 2: 1, 10: 1}, ListenPorts: []uint16{40000}},
		},
		"the lowest listening ports of the range are reported": {
			tcp: []string{"listen 127.0.0.1:80 0.0.0.0:0", "listen 127.0.0.1:40009 0.0.0.0:0", "listen 127.0.0.1:40008 0.0.0.0:0",
				"listen 127.0.0.1:40007 0.0.0.0:0", "listen 127.0.0.1:40006 0.0.0.0:0", "listen 127.0.0.1:40005 0.0.0.0:0",
				"listen 127.0.0.1:40004 0.0.0.0:0", "listen 127.0.0.1:40003 0.0.0.0:0", "listen 127.0.0.1:40002 0.0.0.0:0",
				"listen 127.0.0.1:40001 0.0.0.0:0", "listen 127.0.0.2:40001 0.0.0.0:0"},
			reserved: "40002",
			want: socket.Network{InUse: 8, Skipped: 8, SkippedListening: 8, States: tcpstate.Counts{10: 11},
				ListenPorts: []uint16{40001, 40003, 40004, 40005, 40006, 40007, 40008, 40009}},
		},
		"a bound socket's port is skipped without listening": {
			tcp:  []string{"bound 10.0.0.1:40000 0.0.0.0:0"},
			want: socket.Network{InUse: 1, Skipped: 1, States: tcpstate.Counts{13: 1}},
		},
		"UDP counts ports once": {
			udp:  []string{"bound 10.0.0.1:40000 0.0.0.0:0", "bound [::]:40000 [::]:0", "estab 10.0.0.1:40001 10.0.0.9:53", "bound 0.0.0.0:0 0.0.0.0:0"},
			want: socket.Network{UDPInUse: 2, UDPSockets: 3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var usage portUsage
			reserved, err := ports.ParseList(test.reserved)
			if err != nil {
				t.Fatal(err)
			}
			usage.resetFor(settingsWith100Ports, time.Second, reserved)
			for _, text := range test.tcp {
				if err := usage.addTCP(parseSocket(t, text)); err != nil {
					t.Fatal(err)
				}
			}
			for _, text := range test.udp {
				usage.addUDP(parseSocket(t, text))
			}
			var got socket.Network
			usage.writeTo(&got)
			test.want.Settings = settingsWith100Ports
			if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
				cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReusable(t *testing.T) {
	with := func(change func(*socket.Settings)) socket.Settings {
		s := settingsWith100Ports
		s.Reuse = socket.ReuseAll
		change(&s)
		return s
	}
	all := with(func(*socket.Settings) {})
	onlyLoopback := with(func(s *socket.Settings) { s.Reuse = socket.ReuseLoopback })
	for name, test := range map[string]struct {
		row      string
		settings socket.Settings
		delay    time.Duration
		want     bool
	}{
		"older than the delay":                   {"time-wait 10.0.0.1:40000 10.0.0.9:80 expires=58900", all, time.Second, true},
		"as old as the delay":                    {"time-wait 10.0.0.1:40000 10.0.0.9:80 expires=59000", all, time.Second, true},
		"younger, within the timer's resolution": {"time-wait 10.0.0.1:40000 10.0.0.9:80 expires=59020", all, time.Second, true},
		"younger than the delay":                 {"time-wait 10.0.0.1:40000 10.0.0.9:80 expires=59021", all, time.Second, false},
		"before Linux 6.14 at any age":           {"time-wait 10.0.0.1:40000 10.0.0.9:80 expires=60000", all, 0, true},
		"FIN_WAIT2 is not TIME_WAIT":             {"fin-wait-2 10.0.0.1:40000 10.0.0.9:80 expires=1", all, time.Second, false},
		"with tcp_tw_reuse 0": {"time-wait 10.0.0.1:40000 10.0.0.9:80 expires=1",
			with(func(s *socket.Settings) { s.Reuse = socket.ReuseOff }), time.Second, false},
		"without timestamps": {"time-wait 10.0.0.1:40000 10.0.0.9:80 expires=1",
			with(func(s *socket.Settings) { s.Timestamps = false }), time.Second, false},
		"loopback only, another address":            {"time-wait 10.0.0.1:40000 10.0.0.9:80 expires=1", onlyLoopback, time.Second, false},
		"loopback only, to 127.0.0.0/8":             {"time-wait 10.0.0.1:40000 127.9.9.9:80 expires=1", onlyLoopback, time.Second, true},
		"loopback only, from 127.0.0.0/8":           {"time-wait 127.0.0.1:40000 10.0.0.9:80 expires=1", onlyLoopback, time.Second, true},
		"loopback only, IPv6":                       {"time-wait [::1]:40000 [::1]:80 expires=1", onlyLoopback, time.Second, true},
		"loopback only, IPv6 from elsewhere":        {"time-wait [fd00::1]:40000 [fd00::2]:80 expires=1", onlyLoopback, time.Second, false},
		"loopback only, IPv4-mapped":                {"time-wait [::ffff:10.0.0.1]:40000 [::ffff:127.0.0.1]:80 expires=1", onlyLoopback, time.Second, true},
		"loopback only, bound to the interface lo":  {"time-wait 10.0.0.1:40000 10.0.0.1:80 expires=1 device=1", onlyLoopback, time.Second, true},
		"loopback only, bound to another interface": {"time-wait 10.0.0.1:40000 10.0.0.1:80 expires=1 device=2", onlyLoopback, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			var usage portUsage
			usage.resetFor(test.settings, test.delay, nil)
			s := parseSocket(t, test.row)
			if err := usage.addTCP(s); err != nil || (usage.destinations[0].Reusable == 1) != test.want {
				t.Errorf("%v, counted %d", err, usage.destinations[0].Reusable)
			}
			var all portUsage
			test.settings.Reuse = socket.ReuseAll
			all.resetFor(test.settings, test.delay, nil)
			if err := all.addTCP(s); err != nil || usage.destinations[0].ReusableIfAll != all.destinations[0].Reusable {
				t.Errorf("%v, if all: %d, with tcp_tw_reuse 1: %d", err, usage.destinations[0].ReusableIfAll, all.destinations[0].Reusable)
			}
		})
	}
}

func TestPortUsageIsBoundedAndCountsTheRest(t *testing.T) {
	var usage portUsage
	usage.resetFor(settingsWith100Ports, time.Second, nil)
	s := parseSocket(t, "estab 10.0.0.1:40000 10.0.0.9:80")
	for i := range maxDestinations + 3 {
		s.remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 80)
		if err := usage.addTCP(s); err != nil {
			t.Fatal(err)
		}
	}
	if len(usage.destinations) != maxDestinations || usage.uncounted != 3 {
		t.Errorf("%d destinations, %d uncounted, want %d and 3", len(usage.destinations), usage.uncounted, maxDestinations)
	}
	usage.resetFor(settingsWith100Ports, time.Second, nil)
	if usage.uncounted != 0 || len(usage.destinations) != 0 || usage.portFlags[40000] != 0 {
		t.Error("resetFor left counts")
	}
}

func TestPortUsageRefusesAnUnknownState(t *testing.T) {
	var usage portUsage
	usage.resetFor(settingsWith100Ports, time.Second, nil)
	s := parseSocket(t, "estab 10.0.0.1:40000 10.0.0.9:80")
	s.state = 14
	if err := usage.addTCP(s); !errors.Is(err, errUnknownState) {
		t.Error(err)
	}
}

// FuzzPortUsage counts sockets of a few ports and addresses.
func FuzzPortUsage(f *testing.F) {
	f.Add([]byte{1, 0, 1, 10, 0, 0, 6, 3, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		var usage portUsage
		reserved, _ := ports.ParseList("40003-40004")
		usage.resetFor(settingsWith100Ports, time.Second, reserved)
		for ; len(b) >= 3; b = b[3:] {
			addr := netip.AddrFrom4([4]byte{127, 0, 0, b[2] & 3})
			s := diagSocket{state: tcpstate.State(b[0] % 14), local: netip.AddrPortFrom(addr, 39998+uint16(b[1]%16)),
				remote: netip.AddrPortFrom(addr, uint16(b[2]>>4)), expires: uint32(b[2]) << 8}
			if err := usage.addTCP(s); err != nil {
				t.Fatal(err)
			}
		}
		var n socket.Network
		usage.writeTo(&n)
		capacity := settingsWith100Ports.Range.Len() - reserved.CountIn(settingsWith100Ports.Range)
		if n.SkippedListening > n.Skipped || n.Skipped > n.InUse || n.InUse > capacity {
			t.Errorf("%d listening of %d skipped of %d in use of %d", n.SkippedListening, n.Skipped, n.InUse, capacity)
		}
		seen := map[string]bool{}
		for _, d := range n.Destinations {
			key := fmt.Sprint(d.Source, d.Address, d.Port)
			if seen[key] || d.Reusable > d.ReusableIfAll || d.ReusableIfAll > d.States[tcpstate.TimeWait] || d.States[tcpstate.Listen]+d.States[tcpstate.Bound] > 0 || d.States.Total() == 0 {
				t.Errorf("%+v", d)
			}
			seen[key] = true
		}
	})
}
