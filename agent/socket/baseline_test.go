package socket_test

import (
	"net/netip"
	"testing"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

func TestTheLoadOfAWiderRangeCountsAgainstTheBaseline(t *testing.T) {
	inUse := func(address string, established, timeWait, reusable uint32) socket.Destination {
		d := socket.Destination{Address: netip.MustParseAddr(address), Port: 443, Reusable: reusable, ReusableIfAll: timeWait}
		d.States[tcpstate.Established], d.States[tcpstate.TimeWait] = established, timeWait
		return d
	}
	narrow := &socket.BaselineRange{Range: ports.Range{First: 5001, Last: 6000}}
	reserving := &socket.BaselineRange{Range: narrow.Range, Reserved: 500}
	off, loopback := socket.ReuseOff, socket.ReuseLoopback
	tests := map[string]struct {
		destination socket.Destination
		udp         int
		baseline    *socket.Baseline
		want        int
	}{
		"None":                                 {inUse("10.0.0.9", 600, 0, 0), 0, nil, 30},
		"A narrower range":                     {inUse("10.0.0.9", 600, 0, 0), 0, &socket.Baseline{TCP: narrow, UDP: narrow}, 60},
		"More load than it has ports":          {inUse("10.0.0.9", 1100, 0, 0), 0, &socket.Baseline{TCP: narrow, UDP: narrow}, 100},
		"Ports that stay reserved":             {inUse("10.0.0.9", 200, 0, 0), 0, &socket.Baseline{TCP: reserving, UDP: reserving}, 40},
		"UDP has the same range":               {inUse("10.0.0.9", 0, 0, 0), 700, &socket.Baseline{TCP: narrow, UDP: narrow}, 70},
		"UDP has a range of its own":           {inUse("10.0.0.9", 0, 0, 0), 700, &socket.Baseline{TCP: narrow}, 35},
		"Without reuse":                        {inUse("10.0.0.9", 0, 800, 800), 0, &socket.Baseline{Reuse: &off}, 40},
		"Without reuse but of loopback":        {inUse("10.0.0.9", 0, 800, 800), 0, &socket.Baseline{Reuse: &loopback}, 40},
		"Reuse of loopback for loopback":       {inUse("127.0.0.1", 0, 800, 800), 0, &socket.Baseline{Reuse: &loopback}, 0},
		"With reuse, which pressure turns off": {inUse("10.0.0.9", 0, 800, 0), 0, &socket.Baseline{Reuse: new(socket.ReuseAll)}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := socket.Sample{Networks: []socket.Network{{}, {Settings: socket.Settings{Range: ports.Range{First: 4001, Last: 6000}},
				Destinations: []socket.Destination{test.destination}, UDPInUse: test.udp, Detailed: true}}}
			changed := s.WithBaselines(func(n *socket.Network) *socket.Baseline {
				if n == &s.Networks[1] {
					return test.baseline
				}
				return nil
			})
			p, ok := changed.TightestPool()
			if !ok || p.UsedPercent() != test.want {
				t.Errorf("%d %% are used, want %d %%", p.UsedPercent(), test.want)
			}
			if s.Networks[1].Settings.Range.First != 4001 || s.Networks[1].Settings.UDP != nil || s.Networks[1].Destinations[0].Reusable != test.destination.Reusable {
				t.Error("the sample was changed")
			}
		})
	}
}
