package selftest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
)

func checkResult(t *testing.T, got Check, state socket.CapabilityState, finding string) {
	t.Helper()
	if got.State != state || !strings.Contains(got.Finding, finding) || got.Name == "" {
		t.Errorf("%s is %s: %s\nwant %s: …%s…", got.Name, got.State, got.Finding, state, finding)
	}
}

func TestPortsThatServeTwoDestinations(t *testing.T) {
	for name, test := range map[string]struct {
		dials        connectionPorts
		plain, bound socket.CapabilityState
		finding      string
	}{
		"connect() shares ports":             {connectionPorts{[]uint16{1, 2}, []uint16{2, 3}, []uint16{4}, []uint16{5}}, socket.CapabilityVerified, socket.CapabilityVerified, "1 of 2 ports were used for two"},
		"none by chance":                     {connectionPorts{[]uint16{1, 2}, []uint16{3, 4}, []uint16{5}, []uint16{6}}, socket.CapabilityAssumed, socket.CapabilityVerified, "none of 2 ports"},
		"bound ports that are shared":        {connectionPorts{[]uint16{1}, []uint16{1}, []uint16{5}, []uint16{5}}, socket.CapabilityVerified, socket.CapabilityUnsupported, ""},
		"a bound port that connect() shares": {connectionPorts{[]uint16{1}, []uint16{1, 5}, []uint16{5}, []uint16{6}}, socket.CapabilityVerified, socket.CapabilityUnsupported, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := test.dials.evaluatePortSharing(16384)
			checkResult(t, got[0], test.plain, test.finding)
			checkResult(t, got[1], test.bound, "")
		})
	}
}

func TestPortsComeFromTheRange(t *testing.T) {
	r, reuse := ports.Range{First: 100, Last: 199}, &ports.Range{First: 300, Last: 399}
	d := connectionPorts{plainA: []uint16{100}, boundA: []uint16{199}}
	checkResult(t, d.evaluateRange(r, nil), socket.CapabilityVerified, "all 2")
	d.plainB = []uint16{300}
	checkResult(t, d.evaluateRange(r, nil), socket.CapabilityUnsupported, "1 of 3")
	checkResult(t, d.evaluateRange(r, reuse), socket.CapabilityVerified, "300-399")
}

func TestConnectionsInTheTables(t *testing.T) {
	got := evaluateTable(10, 10, 10)
	checkResult(t, got[0], socket.CapabilityVerified, "all 10")
	checkResult(t, got[1], socket.CapabilityVerified, "10 ")
	got = evaluateTable(10, 8, 1)
	checkResult(t, got[0], socket.CapabilityUnsupported, "2 of 10")
	checkResult(t, got[1], socket.CapabilityUnsupported, "7 of 8")
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
	checkResult(t, compareFamilies(ranges(65535, socket.RangeNetsh)), socket.CapabilityAssumed, "currently the same")
	checkResult(t, compareFamilies(ranges(60000, socket.RangeNetsh)), socket.CapabilityUnsupported, "they differ")
	checkResult(t, compareFamilies(ranges(65535, socket.RangeDefault)), socket.CapabilityUnsupported, "did not report")
	checkResult(t, compareFamilies(nil), socket.CapabilityUnsupported, "did not report")
}

func TestMaxUserPortAgainstTheRange(t *testing.T) {
	at := func(first, last uint16) []socket.DynamicRange {
		return []socket.DynamicRange{{Family: socket.IPv4, Range: ports.Range{First: first, Last: last}, Source: socket.RangeNetsh}}
	}
	for name, test := range map[string]struct {
		value   *uint32
		ranges  []socket.DynamicRange
		state   socket.CapabilityState
		finding string
	}{
		"not set":          {nil, at(49152, 65535), socket.CapabilityAssumed, "not set"},
		"the last port":    {new(uint32(65534)), at(1025, 65534), socket.CapabilityVerified, "last port"},
		"a count":          {new(uint32(10000)), at(49152, 59151), socket.CapabilityVerified, "number of ports"},
		"nothing":          {new(uint32(65534)), at(49152, 65535), socket.CapabilityUnsupported, "no effect"},
		"netsh is missing": {new(uint32(65534)), nil, socket.CapabilityAssumed, "did not report"},
	} {
		t.Run(name, func(t *testing.T) {
			checkResult(t, evaluateMaxUserPort(test.value, test.ranges), test.state, test.finding)
		})
	}
}

func TestTheLengthOfTimeWait(t *testing.T) {
	checkResult(t, evaluateTimeWait(119*time.Second, nil), socket.CapabilityVerified, "119 to 120 s; TcpTimedWaitDelay is not set")
	checkResult(t, evaluateTimeWait(30*time.Second, new(uint32(30))), socket.CapabilityVerified, "is 30 s")
	checkResult(t, evaluateTimeWait(120*time.Second, new(uint32(30))), socket.CapabilityUnsupported, "no effect")
	checkResult(t, newFailedCheck("x", errors.New("no")), socket.CapabilityUnsupported, "no")
}
