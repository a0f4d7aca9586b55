package selftest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
)

func expect(t *testing.T, got Check, state socket.CapabilityState, says string) {
	t.Helper()
	if got.State != state || !strings.Contains(got.Finding, says) || got.Name == "" {
		t.Errorf("%s is %s: %s\nwant %s: …%s…", got.Name, got.State, got.Finding, state, says)
	}
}

func TestPortsThatServeTwoDestinations(t *testing.T) {
	for name, test := range map[string]struct {
		dials        dials
		plain, bound socket.CapabilityState
		says         string
	}{
		"the model":                           {dials{[]uint16{1, 2}, []uint16{2, 3}, []uint16{4}, []uint16{5}}, socket.CapabilityVerified, socket.CapabilityVerified, "1 of 2 ports served two"},
		"none by chance":                      {dials{[]uint16{1, 2}, []uint16{3, 4}, []uint16{5}, []uint16{6}}, socket.CapabilityAssumed, socket.CapabilityVerified, "no port of 2"},
		"bound ports that are shared":         {dials{[]uint16{1}, []uint16{1}, []uint16{5}, []uint16{5}}, socket.CapabilityVerified, socket.CapabilityUnsupported, ""},
		"a bound port that connect() got too": {dials{[]uint16{1}, []uint16{1, 5}, []uint16{5}, []uint16{6}}, socket.CapabilityVerified, socket.CapabilityUnsupported, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := test.dials.judge(16384)
			expect(t, got[0], test.plain, test.says)
			expect(t, got[1], test.bound, "")
		})
	}
}

func TestPortsComeFromTheRange(t *testing.T) {
	r, reuse := ports.Range{First: 100, Last: 199}, &ports.Range{First: 300, Last: 399}
	d := dials{plainA: []uint16{100}, boundA: []uint16{199}}
	expect(t, d.fromRange(r, nil), socket.CapabilityVerified, "all 2")
	d.plainB = []uint16{300}
	expect(t, d.fromRange(r, nil), socket.CapabilityUnsupported, "1 of 3")
	expect(t, d.fromRange(r, reuse), socket.CapabilityVerified, "300-399")
}

func TestWhatTheTablesShow(t *testing.T) {
	got := shown(10, 10, 10)
	expect(t, got[0], socket.CapabilityVerified, "all 10")
	expect(t, got[1], socket.CapabilityVerified, "10 ")
	got = shown(10, 8, 1)
	expect(t, got[0], socket.CapabilityUnsupported, "2 of 10")
	expect(t, got[1], socket.CapabilityUnsupported, "7 of 8")
}

func TestFamilies(t *testing.T) {
	ranges := func(last6 uint16, source socket.RangeSource) (list []socket.DynamicRange) {
		for _, f := range []socket.Family{socket.IPv4, socket.IPv6} {
			for _, p := range []socket.Protocol{socket.TCP, socket.UDP} {
				r := socket.DynamicRange{Family: f, Protocol: p, Range: ports.Range{First: 49152, Last: 65535}, Source: source}
				if f == socket.IPv6 {
					r.Range.Last = last6
				}
				list = append(list, r)
			}
		}
		return list
	}
	expect(t, families(ranges(65535, socket.RangeNetsh)), socket.CapabilityAssumed, "the same now")
	expect(t, families(ranges(60000, socket.RangeNetsh)), socket.CapabilityUnsupported, "they differ")
	expect(t, families(ranges(65535, socket.RangeDefault)), socket.CapabilityUnsupported, "did not tell")
	expect(t, families(nil), socket.CapabilityUnsupported, "did not tell")
}

func TestMaxUserPortAgainstTheRange(t *testing.T) {
	at := func(first, last uint16) []socket.DynamicRange {
		return []socket.DynamicRange{{Family: socket.IPv4, Range: ports.Range{First: first, Last: last}, Source: socket.RangeNetsh}}
	}
	for name, test := range map[string]struct {
		value  *uint32
		ranges []socket.DynamicRange
		state  socket.CapabilityState
		says   string
	}{
		"not set":          {nil, at(49152, 65535), socket.CapabilityAssumed, "not set"},
		"the last port":    {new(uint32(65534)), at(1025, 65534), socket.CapabilityVerified, "last port"},
		"a count":          {new(uint32(10000)), at(49152, 59151), socket.CapabilityVerified, "number of ports"},
		"nothing":          {new(uint32(65534)), at(49152, 65535), socket.CapabilityUnsupported, "no effect"},
		"netsh is missing": {new(uint32(65534)), nil, socket.CapabilityAssumed, "did not tell"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, maxUserPort(test.value, test.ranges), test.state, test.says) })
	}
}

func TestTheLengthOfTimeWait(t *testing.T) {
	expect(t, timeWaitLength(119*time.Second, nil), socket.CapabilityVerified, "119 to 120 s; TcpTimedWaitDelay is not set")
	expect(t, timeWaitLength(30*time.Second, new(uint32(30))), socket.CapabilityVerified, "is 30 s")
	expect(t, timeWaitLength(120*time.Second, new(uint32(30))), socket.CapabilityUnsupported, "no effect")
	expect(t, failed("x", errors.New("no")), socket.CapabilityUnsupported, "no")
}
