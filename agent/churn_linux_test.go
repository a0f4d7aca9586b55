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

// slow says that the test runs on an emulated machine.
var slow = os.Getenv("PORTREEVE_VM") != ""

// While tens of thousands of connections come and go, those that stay are
// counted exactly, every time.
func TestAFixedSetIsCountedExactlyUnderChurn(t *testing.T) {
	rs := readers(t)
	walk := rs["portwalk"]
	for name, reset := range map[string]bool{"connections that vanish": true, "connections that leave TIME_WAIT": false} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, rs)
			s.WriteSysctl("net.ipv4.ip_local_port_range", "16384 65535")
			fixed := ap("127.0.0.50:5432")
			s.connect(777, home, fixed)
			s.connect(333, ap("[::1]:0"), ap("[::1]:5432"))
			s.bind(55, ap("127.0.0.9:0"))
			rate := 0.0
			for try := 0; try < 5 && rate < 10_000 && !t.Failed(); try++ {
				before := cpuTime(t)
				made, took := churn(t, s.Netns, reset, func() { hundredReads(t, walk, s, fixed) })
				// Seconds of the whole machine: those that other programs have are no part of it.
				own := (cpuTime(t) - before).Seconds() / float64(runtime.NumCPU())
				rate = float64(made) / min(own, took.Seconds())
				t.Logf("%.0f connections a second beside 100 reads, by the clock %.0f", rate, float64(made)/took.Seconds())
				if slow {
					return
				}
			}
			if rate < 10_000 {
				t.Errorf("the churn made only %.0f connections a second, want 10,000: nothing is proven", rate)
			}
		})
	}
}

// cpuTime is this process's.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// hundredReads counts what stays, again and again.
func hundredReads(t *testing.T, walk reader, s *scene, fixed netip.AddrPort) {
	for range 100 {
		if t.Failed() {
			return
		}
		got, err := walk.Sample(t.Context(), socket.Request{})
		if err != nil {
			t.Fatal(err)
		}
		n := network(t, &got, s.Inode())
		count := map[netip.AddrPort]int{}
		for _, d := range n.Destinations {
			count[netip.AddrPortFrom(d.Address, d.Port)] = d.States.Total()
		}
		if count[fixed] != 777 || count[ap("[::1]:5432")] != 333 || n.Skipped != 55 {
			t.Errorf("counted %d and %d connections and %d binds, want 777, 333 and 55 (%+v)",
				count[fixed], count[ap("[::1]:5432")], n.Skipped, got.Reader)
		}
		if got.Reader.Exactness != socket.Exact {
			t.Logf("a sample is %s: %s", got.Reader.Exactness, got.Reader.Message)
		}
	}
}

// churn runs fn while connections are made and closed, and says how many.
func churn(t *testing.T, n *netnstest.Netns, reset bool, fn func()) (made int, took time.Duration) {
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

// A server in the range has one port, however many clients it has: they neither
// fill the map of destinations nor take ports from any pool.
func TestInboundConnectionsAreNoDestinations(t *testing.T) {
	clients := 300_000
	if slow {
		clients = 3_000
	}
	s := newScene(t, readers(t))
	s.StartLoad(testnet.Load{Inbound: clients})
	s.WriteSysctl("net.ipv4.ip_local_port_range", "1024 65535")
	s.connect(500, home, server)
	got := s.sample(s.readers["portwalk"])
	n := network(t, &got, s.Inode())
	if len(n.Destinations) != 1 || n.Destinations[0].States[tcpstate.Established] != 500 {
		t.Errorf("%d destinations, want the one of the 500 connects", len(n.Destinations))
	}
	if n.States[tcpstate.Established] < uint32(clients) || n.Skipped == 0 {
		t.Errorf("%d established sockets and %d bound ports, want %d clients of one listener", n.States[tcpstate.Established], n.Skipped, clients)
	}
	if want := 65535 - 1024 + 1 - n.Skipped; headroom(n, connectTo(elsewhere)) != want {
		t.Errorf("headroom %d, want %d", headroom(n, connectTo(elsewhere)), want)
	}
}
