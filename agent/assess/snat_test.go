package assess

import (
	"net/netip"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
)

// A SNAT pool can be the tightest, set the level, and be listed.
func TestSNATSetsTheLevel(t *testing.T) {
	snat := func(p socket.Protocol) socket.SNATPool {
		return socket.SNATPool{
			Destination: socket.Destination{Source: netip.MustParseAddr("192.0.2.1"), Address: netip.MustParseAddr("198.51.100.9"), Port: 443},
			Protocol:    p, InUse: 60000, Capacity: 64512,
		}
	}
	for name, test := range map[string]struct {
		protocol socket.Protocol
		summary  string
		states   bool
	}{
		"TCP":                       {socket.TCP, "Host SNAT 192.0.2.1 → 198.51.100.9:443", true},
		"UDP, without known states": {socket.UDP, "Host UDP SNAT 192.0.2.1 → 198.51.100.9:443", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := BuildStatus(socket.Sample{Taken: time.Now(), Networks: []socket.Network{{
				Owner:    socket.Owner{Kind: socket.OwnerHost},
				Settings: socket.Settings{Range: ports.Range{First: 32768, Last: 60999}},
				SNAT:     []socket.SNATPool{snat(test.protocol)},
			}}}, Facts{})
			p := s.Tightest
			if s.Level != v1alpha1.LevelCritical || *s.UsedPercent != 93 || len(s.Networks) != 1 {
				t.Fatalf("level %s at %d %%, %d networks", s.Level, *s.UsedPercent, len(s.Networks))
			}
			if p.Kind != v1alpha1.PoolSNAT || p.Summary != test.summary || (p.States != nil) != test.states {
				t.Errorf("%+v", *p)
			}
		})
	}
}
