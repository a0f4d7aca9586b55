package forecast_test

import (
	"net/netip"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/forecast"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// newSharedPortsSample returns the sample of a Windows machine on which every connection
// uses its own port. The connections are spread evenly over 50 destinations.
func newSharedPortsSample(at time.Time, each uint32, state tcpstate.State) socket.Sample {
	n := socket.Network{
		Settings: socket.Settings{Range: ports.Range{First: 49152, Last: 65535}, TriesEveryPort: true},
		InUse:    int(each) * 50, BindUnknown: true, Detailed: true,
	}
	n.States[state] = each * 50
	for i := range 50 {
		d := socket.Destination{Source: netip.MustParseAddr("10.0.0.5"), Address: netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), Port: 443}
		d.States[state] = each
		n.Destinations = append(n.Destinations, d)
	}
	return socket.Sample{Taken: at, Networks: []socket.Network{n}}
}

func TestExhaustionOfSharedPortsIsForecast(t *testing.T) {
	begin := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		state tcpstate.State
		each  func(seconds uint32) uint32
		want  bool // exhaustion is forecast after 400 s
	}{
		"A leak spread over all destinations":       {tcpstate.CloseWait, func(s uint32) uint32 { return s / 2 }, true},
		"TIME_WAIT that drains as fast as it grows": {tcpstate.TimeWait, func(s uint32) uint32 { return min(s, 120) }, false},
		"A constant number of connections":          {tcpstate.Established, func(uint32) uint32 { return 200 }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := forecast.History{TimeWait: 2 * time.Minute}
			var f forecast.Forecast
			for s := uint32(0); s <= 400; s += 10 {
				sample := newSharedPortsSample(begin.Add(time.Duration(s)*time.Second), test.each(s), test.state)
				f = h.AddSample(&sample)
			}
			if (f.Seconds != nil) != test.want {
				t.Fatalf("%v", f)
			}
			// 25 per second of the 16384 ports, of which 10000 are in use.
			if f.Seconds != nil && (*f.Seconds < 200 || *f.Seconds > 310) {
				t.Errorf("in %d s, want about 255", *f.Seconds)
			}
		})
	}
}
