package portwalk

import (
	"testing"

	"portreeve.io/portreeve/agent/internal/nstest"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/hack/netload/testnet"
)

// BenchmarkSample is the CPU time of one resident sample; cpu-ms is what the
// reader itself reports as its cost.
func BenchmarkSample(b *testing.B) {
	for _, c := range []struct {
		name string
		load testnet.Load
		gate int
	}{
		{"empty machine", testnet.Load{}, 0},
		{"empty machine, gate closed", testnet.Load{}, 5},
		{"200k sockets of one namespace", testnet.Load{Established: 100_000, TimeWait: 100_000}, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			nstest.New(b).Load(c.load)
			r, err := Open(Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			var cost float64
			for b.Loop() {
				s, err := r.Sample(b.Context(), socket.Request{GatePercent: c.gate})
				if err != nil {
					b.Fatal(err)
				}
				cost += s.Cost.Seconds() * 1e3
			}
			b.ReportMetric(cost/float64(b.N), "cpu-ms")
		})
	}
}
