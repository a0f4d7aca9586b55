package portwalk

import (
	"os/exec"
	"runtime"
	"testing"

	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

// BenchmarkSample measures the CPU time of one sample of an open reader. cpu-ms is the
// cost that the reader itself reports.
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
			netnstest.New(b).StartLoad(c.load)
			r, err := Open(Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			var cost float64
			for b.Loop() {
				s, err := r.Sample(b.Context(), socket.Request{DetailPercent: c.gate})
				if err != nil {
					b.Fatal(err)
				}
				cost += s.CPUTime.Seconds() * 1e3
			}
			b.ReportMetric(cost/float64(b.N), "cpu-ms")
		})
	}
}

// BenchmarkInspect measures the CPU time of inspecting one pool, without the sample.
func BenchmarkInspect(b *testing.B) {
	for _, c := range []struct {
		name      string
		load      testnet.Load
		processes int // of 1,000 files each
	}{
		{"empty machine", testnet.Load{}, 0},
		{"100k sockets in use, 100k TIME_WAIT", testnet.Load{Established: 100_000, TimeWait: 100_000}, 0},
		{"500 processes with 1,000 files", testnet.Load{}, 500},
	} {
		b.Run(c.name, func(b *testing.B) {
			n := netnstest.New(b)
			n.StartLoad(c.load)
			for range c.processes {
				startProcessWith1000Files(b, n)
			}
			r, err := Open(Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			s, err := r.Sample(b.Context(), socket.Request{})
			if err != nil {
				b.Fatal(err)
			}
			p := socket.SelectTightest(findNetwork(&s, n.Inode()).Pools(), 1)[0]
			runtime.LockOSThread() // for the thread's CPU time
			defer runtime.UnlockOSThread()
			start := kernelstat.ReadThreadCPUTime()
			for b.Loop() {
				if err := r.inspectPool(b.Context(), &s, p, 1000); err != nil || s.PoolDetail == nil {
					b.Fatal(err, s.Unobserved)
				}
			}
			b.ReportMetric((kernelstat.ReadThreadCPUTime()-start).Seconds()*1e3/float64(b.N), "cpu-ms")
		})
	}
}

// startProcessWith1000Files starts a process with 1,000 distinct open files.
func startProcessWith1000Files(b *testing.B, n *netnstest.Netns) {
	b.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		b.Skip(err)
	}
	cmd := exec.Command(bash, "-c", `for ((i = 3; i < 1000; i++)); do eval "exec $i</dev/null"; done; echo; exec sleep 600`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	n.Start(cmd)
	if _, err := out.Read(make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
}
