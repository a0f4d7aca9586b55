package portusage

import (
	"testing"

	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

func TestClientSideOfConnections(t *testing.T) {
	const (
		eph   = 40000 // ephemeral, not a service port
		other = 40001
		web   = 443
		db    = 5432
		odd   = 20000 // neither ephemeral nor a service port
	)
	pairs := func(n int, local, remote uint16) func(*sideClassifier) {
		return func(s *sideClassifier) {
			for range n {
				s.countConnection(local, remote)
			}
		}
	}
	listens := func(port uint16) func(*sideClassifier) {
		return func(s *sideClassifier) { s.listening.Add(port); s.hasListeners = true }
	}
	// fan counts n connections between one port and n ports starting at first.
	fan := func(n int, serverIsLocal bool, server, first uint16) func(*sideClassifier) {
		return func(s *sideClassifier) {
			for i := range uint16(n) {
				if serverIsLocal {
					s.countConnection(server, first+i)
				} else {
					s.countConnection(first+i, server)
				}
			}
		}
	}
	est := tcpstate.Established
	tests := map[string]struct {
		before        []func(*sideClassifier)
		local, remote uint16
		state         tcpstate.State
		sameHost      bool
		want          bool
	}{
		"1: the local port listens":                                         {[]func(*sideClassifier){listens(eph)}, eph, other, est, false, false},
		"1: it listens, though the remote port is a service's":              {[]func(*sideClassifier){listens(eph)}, eph, web, est, false, false},
		"2: another port listens":                                           {[]func(*sideClassifier){listens(other)}, eph, other, est, false, true},
		"2: another port listens, and this one has all the connections":     {[]func(*sideClassifier){listens(other), fan(100, true, eph, 50000)}, eph, 50001, est, false, true},
		"3: SYN_SENT is a client's, even of a port with many connections":   {[]func(*sideClassifier){fan(100, true, eph, 50000)}, eph, 50001, tcpstate.SynSent, false, true},
		"3: SYN_RECV is a server's":                                         {nil, eph, web, tcpstate.SynRecv, false, false},
		"4: the remote port is below 1024":                                  {nil, eph, web, est, false, true},
		"4: the remote port is a known one":                                 {nil, eph, db, est, false, true},
		"4: towards many services from one port":                            {[]func(*sideClassifier){pairs(9, eph, db)}, eph, web, est, false, true},
		"5: many clients of one local port":                                 {[]func(*sideClassifier){fan(4, true, eph, 50000)}, eph, 50001, est, false, false},
		"5: three clients may be three destinations":                        {[]func(*sideClassifier){fan(2, true, eph, 20000)}, eph, 20002, est, false, true},
		"5: many connections to one remote port":                            {[]func(*sideClassifier){fan(2, false, other, eph)}, eph, other, est, false, true},
		"5: the same on one host, seen from the client":                     {[]func(*sideClassifier){fan(9, false, other, 50000), fan(9, true, other, 50000)}, 50001, other, est, true, true},
		"5: the same on one host, seen from the server":                     {[]func(*sideClassifier){fan(9, false, other, 50000), fan(9, true, other, 50000)}, other, 50001, est, true, false},
		"5: the same, though the client's port is the lower one":            {[]func(*sideClassifier){fan(9, false, 50001, 40010)}, other, 50001, est, true, true},
		"5: of two known ports the one with more":                           {[]func(*sideClassifier){fan(9, true, 50051, 40000), pairs(1, 50051, web)}, 50051, web, est, false, false},
		"5: a crawler uses each port for many, and all to one remote port":  {[]func(*sideClassifier){pairs(36, eph, other), fan(100, false, other, 50000)}, eph, other, est, false, true},
		"6: the local port is a known one":                                  {nil, 50051, other, est, false, false},
		"6: both are known, so the rule does not apply":                     {nil, 50051, 8080, est, false, true},
		"7: the remote port is outside the range":                           {nil, eph, odd, est, true, true},
		"8: a pair on one host, seen from the higher port":                  {nil, other, eph, est, true, true},
		"8: a pair on one host, seen from the lower port":                   {nil, eph, other, est, true, false},
		"9: no other rule applies":                                          {nil, eph, other, est, false, true},
		"9: no other rule applies, with the ports swapped":                  {nil, other, eph, est, false, true},
		"a range from 1025 on: a known port with many clients is a service": {[]func(*sideClassifier){fan(900, true, 3306, 1025)}, 3306, 1433, est, false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := sideClassifier{ephemeral: ports.Range{First: 32768, Last: 60999}}
			s.countConnection(test.local, test.remote)
			for _, f := range test.before {
				f(&s)
			}
			if got := s.isLocalClient(test.local, test.remote, test.state, test.sameHost); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
