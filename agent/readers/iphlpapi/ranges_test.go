package iphlpapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/internal/ports"
)

// formatRange returns the output of netsh for a range.
func formatRange(start, count int) string {
	return fmt.Sprintf("\r\nTitre\r\n---------------------------------\r\nA : %d\r\nB : %d\r\n\r\n", start, count)
}

// formatExclusions returns the output of netsh for exclusions.
func formatExclusions(rows ...string) string {
	return "\r\nTitre\r\n\r\nA    B\r\n----------    --------\r\n" + strings.Join(rows, "\r\n") + "\r\n\r\n* - X.\r\n"
}

// newFakeNetsh returns a Client whose answers are selected by family, object and protocol,
// such as "ipv4 dynamicport tcp".
func newFakeNetsh(answers map[string]string) netsh.Client {
	return netsh.Client{Run: func(_ context.Context, args ...string) ([]byte, error) {
		text, ok := answers[args[1]+" "+args[3]+" "+strings.TrimPrefix(args[4], "protocol=")]
		if !ok {
			return nil, errors.New("exit status 1: \"Zugriff\nverweigert\"")
		}
		return []byte(text), nil
	}}
}

func noRegistry() registryValues { return registryValues{Major: 10} }

// spellPorts is the ranges, their sources, and how many of their ports are excluded.
func spellPorts(p *portConfig) (list []string) {
	for i, f := range families {
		for _, protocol := range netsh.Protocols {
			d := p.describeRange(i, protocol, nil)
			line := fmt.Sprintf("%v %v %v %s", f.family, protocol, d.Range, d.Source)
			if d.Excluded != nil {
				line += fmt.Sprintf(" excluded %d blocks %d", *d.Excluded, *d.FreeBlocks)
			}
			list = append(list, line)
		}
	}
	return list
}

func TestRangesAreNetshs(t *testing.T) {
	p := readPortConfig(t.Context(), newFakeNetsh(map[string]string{
		"ipv4 dynamicport tcp":       formatRange(49152, 16384),
		"ipv4 excludedportrange tcp": formatExclusions("  80  80", "  49152  49251", "  50000  50059  *"),
		"ipv4 dynamicport udp":       formatRange(49152, 16384),
		"ipv4 excludedportrange udp": formatExclusions(),
		"ipv6 dynamicport tcp":       formatRange(33000, 32536),
		"ipv6 excludedportrange tcp": formatExclusions(),
		"ipv6 dynamicport udp":       formatRange(49152, 16384),
		"ipv6 excludedportrange udp": formatExclusions("  65330  65330  *"),
	}), noRegistry)
	want := []string{
		"IPv4 TCP 49152-65535 netsh excluded 160 blocks 252", // 11 below 50000, 241 above 50059,
		"IPv4 UDP 49152-65535 netsh excluded 0 blocks 256",
		"IPv6 TCP 33000-65535 netsh excluded 0 blocks 508",
		"IPv6 UDP 49152-65535 netsh excluded 1 blocks 255",
	}
	if diff := cmp.Diff(want, spellPorts(&p)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if !p.hasSeparateRanges() || len(p.unobserved) > 0 || len(p.excluded) != 4 || !p.excluded[2].Administered {
		t.Errorf("separate ranges %v, unobserved %v, excluded %v", p.hasSeparateRanges(), p.unobserved, p.excluded)
	}
	if got := p.counterOptions(0).Reserved.CountIn(ports.Range{First: 1, Last: 65535}); got != 161 {
		t.Errorf("IPv4 leaves out %d ports, want its own 161", got)
	}
}

func TestWhereFamiliesShareARangeBothExclusionsCount(t *testing.T) {
	p := newPortConfig(thousand)
	p.ranges[0][socket.TCP].reserved.Add(50000)
	p.ranges[1][socket.TCP].reserved.Add(50001)
	if got := p.mergeReserved(0, socket.TCP).CountIn(thousand); got != 2 || p.hasSeparateRanges() {
		t.Errorf("%d ports are excluded, separate ranges %v", got, p.hasSeparateRanges())
	}
	p.ranges[1][socket.TCP].reserved = nil // not known
	if got := p.mergeReserved(0, socket.TCP).CountIn(thousand); got != 1 {
		t.Errorf("%d ports are excluded", got)
	}
}

func TestWithoutNetshTheRegistryTellsAndThenTheDocuments(t *testing.T) {
	const because = `netsh int ipv4 show dynamicport tcp: exit status 1: "Zugriff verweigert"`
	tests := map[string]struct {
		registry registryValues
		want     string
		source   socket.RangeSource
		why      string
	}{
		"Nothing is set":                   {registryValues{Major: 10}, "49152-65535", socket.RangeDefault, "49152-65535 is assumed (OS default): " + because},
		"MaxUserPort is set":               {registryValues{Major: 10, MaxUserPort: new(uint32(1000))}, "49152-50151", socket.RangeRegistry, "49152-50151 is assumed (registry): " + because},
		"MaxUserPort is the last port":     {registryValues{Major: 10, MaxUserPort: new(uint32(65534))}, "1024-65534", socket.RangeRegistry, "1024-65534 is assumed (registry): " + because},
		"MaxUserPort of 2003":              {registryValues{Major: 5, Minor: 2, MaxUserPort: new(uint32(60000))}, "1025-60000", socket.RangeRegistry, "1025-60000 is assumed (registry): " + because},
		"Only MaxUserPort could be read":   {registryValues{Major: 10, MaxUserPort: new(uint32(1000)), Err: errors.New("access denied")}, "49152-50151", socket.RangeRegistry, "49152-50151 is assumed (registry): " + because},
		"The registry can't be read":       {registryValues{Major: 10, Err: errors.New("access denied")}, "49152-65535", socket.RangeDefault, "49152-65535 is assumed (OS default): " + because + " access denied"},
		"MaxUserPort is beyond all bounds": {registryValues{Major: 10, MaxUserPort: new(uint32(1<<32 - 1))}, "49152-65535", socket.RangeDefault, "49152-65535 is assumed (OS default): " + because + " MaxUserPort 4294967295 is invalid: on windows-2008+ it is the number of ports from 49152, 255 to 16384, or the last port from 1024, up to 65534"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := readPortConfig(t.Context(), newFakeNetsh(nil), func() registryValues { return test.registry })
			d := p.describeRange(0, socket.TCP, nil)
			if d.Range.String() != test.want || d.Source != test.source || d.Excluded != nil || d.FreeBlocks != nil {
				t.Errorf("got %+v", d)
			}
			want := []socket.Unobserved{{Item: itemDynamicPorts, Reason: test.why}, {Item: itemExcludedPorts, Reason: `netsh int ipv4 show excludedportrange protocol=tcp: exit status 1: "Zugriff verweigert"`}}
			if diff := cmp.Diff(want, p.unobserved); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			states := []socket.CapabilityState{socket.CapabilityAssumed, socket.CapabilityUnsupported}
			for i, c := range p.listCapabilities() {
				if c.State != states[i] || c.Message == "" {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

func TestTheAutoReuseRangeAsACapability(t *testing.T) {
	for want, a := range map[string]autoReuseRange{
		"Verified not configured": {},
		"Verified 20000-29999":    {ports: &ports.Range{First: 20000, Last: 29999}},
		"Unsupported refused":     {err: errors.New("refused")},
	} {
		if c := a.describeCapability(); string(c.State)+" "+c.Message != want {
			t.Errorf("got %s %s, want %s", c.State, c.Message, want)
		}
	}
}
