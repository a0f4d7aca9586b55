package forecast_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/forecast"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// BenchmarkFollow measures the cost of a sample, without reading it.
func BenchmarkFollow(b *testing.B) {
	_, leak := newRamp(4)
	for name, pods := range map[string]int{"a leak": 0, "a leak beside 100 pods": 100} {
		b.Run(name, func(b *testing.B) {
			k := &simulatedKernel{load: leak, random: rand.New(rand.NewPCG(1, 1))}
			for k.countUsed() < leak.capacity/2 {
				k.advanceStep()
			}
			s := k.newSample()
			for i := range pods {
				n := s.Networks[0]
				n.Inode += 1 + uint64(i)
				n.Destinations = []socket.Destination{{States: tcpstate.Counts{tcpstate.Established: uint32(i)}}}
				s.Networks = append(s.Networks, n)
			}
			var h forecast.History
			b.ReportAllocs()
			for b.Loop() {
				s.Taken = s.Taken.Add(2 * time.Second)
				s.Networks[0].Destinations[0].States[tcpstate.Established]++
				h.AddSample(&s)
			}
		})
	}
}
