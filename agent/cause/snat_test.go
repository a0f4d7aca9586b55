package cause

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/tcpstate"
)

func TestPoolsOfSNAT(t *testing.T) {
	const where = " ports of the translated address 10.0.0.4 to 10.0.0.9:443 are in use"
	const elsewhere = "Reuse connections, translate to more source addresses, or reach the destination without SNAT."
	pool := func(ports, capacity int, reusable uint32, s tcpstate.Counts) socket.SNATPool {
		return socket.SNATPool{InUse: ports, Capacity: capacity,
			Destination: socket.Destination{Source: home, Address: peer, Port: 443, States: s, Reusable: reusable}}
	}
	dns := pool(64000, socket.SNATPorts, 0, tcpstate.Counts{})
	dns.Protocol = socket.UDP
	for name, test := range map[string]struct {
		pool             socket.SNATPool
		finding, remedy  string
		shorterTimeWaits bool
	}{
		"open connections": {pool(60000, socket.SNATPorts, 0, tcpstate.Counts{tcpstate.Established: 60000}),
			"60000 of 64512" + where + " (ESTABLISHED 60000).", elsewhere, false},
		"a rule's range": {pool(100, 100, 0, tcpstate.Counts{tcpstate.Established: 100}),
			"100 of 100" + where + " (ESTABLISHED 100). The SNAT rule seems to allow only these 100 (--to-ports).",
			"Widen the rule's port range. " + elsewhere, false},
		"TIME_WAIT on a kernel that keeps its ports": {
			pool(60000, socket.SNATPorts, 0, tcpstate.Counts{tcpstate.Established: 10000, tcpstate.TimeWait: 50000}),
			"60000 of 64512" + where + " (TIME_WAIT 50000, ESTABLISHED 10000).", elsewhere, true},
		"little TIME_WAIT on such a kernel": {pool(60000, socket.SNATPorts, 0, tcpstate.Counts{tcpstate.Established: 50000, tcpstate.TimeWait: 10000}),
			"60000 of 64512" + where + " (ESTABLISHED 50000, TIME_WAIT 10000).", elsewhere, false},
		"reusable TIME_WAIT does not count": {
			pool(64000, socket.SNATPorts, 24000, tcpstate.Counts{tcpstate.Established: 40000, tcpstate.TimeWait: 24000}),
			"40000 of 64512" + where + " (ESTABLISHED 40000).", elsewhere, false},
		"UDP, without known states": {dns, "64000 of 64512" + where + ".", elsewhere, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := &socket.Network{Settings: standard, SNAT: []socket.SNATPool{test.pool}}
			got := EvaluatePool(Evidence{Pool: sortPools(n)[0], Network: "Host", AboveThreshold: true})
			want := Diagnosis{Cause: v1alpha1.CauseSnatPool, Finding: test.finding, Remedy: test.remedy}
			checkDiagnosis(t, got)
			setting := got.Setting
			got.Setting = nil
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if (setting != nil) != test.shorterTimeWaits || setting != nil && setting.Key != settings.KeyConntrackTimeWait {
				t.Errorf("setting %+v, want a setting: %v", setting, test.shorterTimeWaits)
			}
		})
	}
}
