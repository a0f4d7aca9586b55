package dump

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"testing"
)

// largeDumps writes dumps of a million lines. Listeners come last, where ss may print them.
var largeDumps = map[string]func(w io.Writer, n int){
	"a client of 40 destinations that fills its pools": func(w io.Writer, n int) {
		for i := range n {
			fmt.Fprintf(w, "TIME-WAIT 0      0          10.0.0.4:%d      10.0.1.%d:5432 \n", 32768+i%28232, i/28232)
		}
	},
	"a server of a million clients, outside the range": func(w io.Writer, n int) {
		for i := range n {
			fmt.Fprintf(w, "ESTAB 0      0          10.0.0.4:443      10.%d.%d.%d:%d \n", 1+i>>16, i>>8&255, i&255, 1024+i%64000)
		}
		fmt.Fprintf(w, "LISTEN 0      0          10.0.0.4:443      *:* \n")
	},
	"a server of a million clients, inside the range": func(w io.Writer, n int) {
		for i := range n {
			fmt.Fprintf(w, "ESTAB 0      0          10.0.0.4:40000      10.%d.%d.%d:%d \n", 1+i>>16, i>>8&255, i&255, 1024+i%64000)
		}
		fmt.Fprintf(w, "LISTEN 0      0          10.0.0.4:40000      *:* \n")
	},
	"a crawler of a million destinations, and one busy destination": func(w io.Writer, n int) {
		r := rand.New(rand.NewPCG(1, 2))
		for i := range n {
			if i%50 == 0 {
				fmt.Fprintf(w, "CLOSE-WAIT 1 0 10.0.0.4:%d 10.0.0.9:5432 users:((\"crawler\",pid=%d,fd=9))\n", 32768+i/50, 1+i%9000)
				continue
			}
			fmt.Fprintf(w, "ESTAB 0      0          10.0.0.4:%d      %d.%d.%d.%d:443 \n", 32768+r.IntN(28232), 20+i>>24, i>>16&255, i>>8&255, i&255)
		}
	},
	"the same table again and again, as netstat with an interval prints it": func(w io.Writer, n int) {
		for i := range n {
			fmt.Fprintf(w, "  TCP    10.0.0.5:%-13d 10.0.0.9:443           CLOSE_WAIT      7\r\n", 49152+i%16000)
		}
	},
	"a proxy with both ends on one host": func(w io.Writer, n int) {
		for i := range n / 2 {
			c, s := fmt.Sprintf("127.0.0.%d:%d", 1+i/28232, 32768+i%28232), "127.0.0.1:33000"
			fmt.Fprintf(w, "tcp        0      0 %-23s %-23s ESTABLISHED\ntcp        0      0 %-23s %-23s ESTABLISHED\n", c, s, s, c)
		}
	},
}

// TestAMillionLinesInConstantMemory reads from a pipe, which can be read only once.
func TestAMillionLinesInConstantMemory(t *testing.T) {
	const lines, limit = 1_000_000, 24 << 20
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	for name, write := range largeDumps {
		t.Run(name, func(t *testing.T) {
			in, out := io.Pipe()
			go func() {
				w := bufio.NewWriterSize(out, 1<<16)
				write(w, lines)
				w.Flush()
				out.Close()
			}()
			before := measureHeap()
			peak := &peakReader{in: in}
			d, err := Read(peak, Options{})
			if err != nil || d.Lines < lines-1 || d.Unread > 0 {
				t.Fatalf("%d lines, %d unread, %v", d.Lines, d.Unread, err)
			}
			if live := peak.peak - before; live > limit {
				t.Errorf("at most %d kB live, more than %d", live>>10, limit>>10)
			} else {
				t.Logf("at most %d kB live", live>>10)
			}
			checkTightestPool(t, name, &d)
		})
	}
}

// checkTightestPool checks that the omitted destinations do not affect the tightest pool.
func checkTightestPool(t *testing.T, name string, d *Dump) {
	p, _ := d.Sample.TightestPool()
	want := map[string]int32{
		"a client of 40 destinations that fills its pools": 28232,
		"a server of a million clients, outside the range": 0,
		"a server of a million clients, inside the range":  1,
		"a proxy with both ends on one host":               28232,

		"the same table again and again, as netstat with an interval prints it": 16000,
		// A few sockets are lost each time that pools are dropped.
		"a crawler of a million destinations, and one busy destination": 20000,
	}[name]
	if p.Used != want {
		t.Errorf("the tightest pool has %d ports in use, want %d: %+v", p.Used, want, p.Destination)
	}
}

// peakReader records the maximum live heap while it is read.
type peakReader struct {
	in    io.Reader
	bytes int
	peak  int64
}

func (p *peakReader) Read(b []byte) (int, error) {
	n, err := p.in.Read(b)
	const step = 4 << 20
	if (p.bytes+n)/step > p.bytes/step || err != nil {
		p.peak = max(p.peak, measureHeap())
	}
	p.bytes += n
	return n, err
}

func measureHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
