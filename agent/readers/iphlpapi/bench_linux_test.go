package iphlpapi

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// BenchmarkTable counts a full table of Windows' default range, from its bytes to the
// tightest pool.
func BenchmarkTable(b *testing.B) {
	const rows = 16384
	for name, destinations := range map[string]int{"one": 1, "hundred": 100, "all": rows} {
		for _, kind := range []tableKind{tcp4, tcp6} {
			m := &tableBuilder{kind: kind}
			for i := range rows {
				l, r := fmt.Sprintf("10.0.0.5:%d", 49152+i*7919%rows), fmt.Sprintf("10.1.%d.%d:443", i%destinations>>8, i%destinations&255)
				if kind == tcp6 {
					l, r = fmt.Sprintf("[2001:db8::5]:%d", 49152+i*7919%rows), fmt.Sprintf("[2001:db8::1:%x]:443", i%destinations)
				}
				m.addSocket(l, r, []tcpstate.State{tcpstate.TimeWait, tcpstate.Established}[i/4%2], uint32(i/4%2)*uint32(4+i%64))
			}
			buf, p := m.encode(), newPortConfig(ports.Range{First: 49152, Last: 65535})
			b.Run(fmt.Sprintf("%s-%v", name, kind), func(b *testing.B) {
				var n networkBuilder
				b.ReportAllocs()
				before := readCPUTime(b)
				for b.Loop() {
					n.startSample(p)
					table, err := kind.sliceRows(buf)
					if err != nil {
						b.Fatal(err)
					}
					n.addTable(kind, table)
					s := socket.Sample{Networks: n.buildNetworks()}
					if _, ok := s.TightestPool(); !ok {
						b.Fatal("no pool")
					}
				}
				b.ReportMetric((readCPUTime(b)-before).Seconds()*1000/float64(b.N), "cpu-ms")
			})
		}
	}
}

// readCPUTime returns the CPU time of this process.
func readCPUTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
