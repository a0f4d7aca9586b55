package agent_test

import (
	"context"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

// isEmulated is set if the test runs on an emulated machine.
var isEmulated = os.Getenv("PORTREEVE_VM") != ""

// Open connections are counted exactly while tens of thousands of others are opened and
// closed.
func TestAFixedSetIsCountedExactlyUnderChurn(t *testing.T) {
	rs := openReaders(t)
	walk := rs["portwalk"]
	for name, reset := range map[string]bool{"connections that vanish": true, "connections that leave TIME_WAIT": false} {
		t.Run(name, func(t *testing.T) {
			s := newScenario(t, rs)
			s.WriteSysctl("net.ipv4.ip_local_port_range", "16384 65535")
			fixed := addrPort("127.0.0.50:5432")
			s.openConnections(777, loopback, fixed)
			s.openConnections(333, addrPort("[::1]:0"), addrPort("[::1]:5432"))
			s.openBound(55, addrPort("127.0.0.9:0"))
			rate := 0.0
			for try := 0; try < 5 && rate < 10_000 && !t.Failed(); try++ {
				before := readProcessCPUTime(t)
				made, took := runChurn(t, s.Netns, reset, func() { read100Times(t, walk, s, fixed) })
				// The rate is per second of this process's share of the machine's CPU time.
				own := (readProcessCPUTime(t) - before).Seconds() / float64(runtime.NumCPU())
				rate = float64(made) / min(own, took.Seconds())
				t.Logf("%.0f connections per second of own CPU time during 100 reads, %.0f per second", rate, float64(made)/took.Seconds())
				if isEmulated {
					return
				}
			}
			if rate < 10_000 {
				t.Errorf("the churn opened only %.0f connections a second, so the test proves nothing; want 10,000", rate)
			}
		})
	}
}

// readProcessCPUTime returns this process's CPU time.
func readProcessCPUTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// read100Times checks the counts of the open connections in 100 samples.
func read100Times(t *testing.T, walk testedReader, s *scenario, fixed netip.AddrPort) {
	for range 100 {
		if t.Failed() {
			return
		}
		got, err := walk.Sample(t.Context(), socket.Request{})
		if err != nil {
			t.Fatal(err)
		}
		n := findNetwork(t, &got, s.Inode())
		count := map[netip.AddrPort]int{}
		for _, d := range n.Destinations {
			count[netip.AddrPortFrom(d.Address, d.Port)] = d.States.Total()
		}
		if count[fixed] != 777 || count[addrPort("[::1]:5432")] != 333 || n.Skipped != 55 {
			t.Errorf("counted %d and %d connections and %d binds, want 777, 333 and 55 (%+v)",
				count[fixed], count[addrPort("[::1]:5432")], n.Skipped, got.Reader)
		}
		if got.Reader.Exactness != socket.Exact {
			t.Logf("a sample is %s: %s", got.Reader.Exactness, got.Reader.Message)
		}
	}
}

// runChurn runs fn while connections are opened and closed, and returns their number.
func runChurn(t *testing.T, n *netnstest.Netns, reset bool, fn func()) (made int, took time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var ready, done sync.WaitGroup
	var mu sync.Mutex
	for worker := range byte(2) {
		ready.Add(1)
		done.Go(func() {
			n.Do(func() {
				var to []netip.AddrPort
				for i := range byte(20) {
					to = append(to, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 3, worker, i}), 83))
				}
				got, err := testnet.Churn{Rate: 40_000, To: to, Reset: reset}.Run(ctx, ready.Done)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				made += got.Made
				mu.Unlock()
			})
		})
	}
	ready.Wait()
	start := time.Now()
	fn()
	took = time.Since(start)
	stop()
	done.Wait()
	return made, took
}

// The clients of a server in the range all use its one port. They neither fill the map of
// destinations nor use ports of any pool.
func TestInboundConnectionsAreNotDestinations(t *testing.T) {
	clients := 300_000
	if isEmulated {
		clients = 3_000
	}
	s := newScenario(t, openReaders(t))
	s.StartLoad(testnet.Load{Inbound: clients})
	s.WriteSysctl("net.ipv4.ip_local_port_range", "1024 65535")
	s.openConnections(500, loopback, server)
	got := s.takeSample(s.readers["portwalk"])
	n := findNetwork(t, &got, s.Inode())
	if len(n.Destinations) != 1 || n.Destinations[0].States[tcpstate.Established] != 500 {
		t.Errorf("%d destinations, want one with 500 connections", len(n.Destinations))
	}
	if n.States[tcpstate.Established] < uint32(clients) || n.Skipped == 0 {
		t.Errorf("%d established sockets and %d bound ports, want %d clients of one listener", n.States[tcpstate.Established], n.Skipped, clients)
	}
	if want := 65535 - 1024 + 1 - n.Skipped; reportedHeadroom(n, connectTo(elsewhere)) != want {
		t.Errorf("headroom %d, want %d", reportedHeadroom(n, connectTo(elsewhere)), want)
	}
}
