package cause_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

func parseAddrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

var (
	home     = parseAddrPort("127.0.0.1:0")
	server   = parseAddrPort("127.0.0.1:80")
	wildcard = parseAddrPort("0.0.0.0:0")
)

// waitForReuse waits until TIME_WAIT is older than the reuse delay, which on kernels before
// 6.14 is a second of the coarse clock.
func waitForReuse() { time.Sleep(2100 * time.Millisecond) } // the condition is time itself

func newTimeWaitLoad(count, destinations int) testnet.Load {
	return testnet.Load{TimeWait: count, Destinations: destinations}
}

// scenarios is the live part of the corpus. The range is the default, 32768 to 60999,
// unless how gives another.
var scenarios = []scenario{
	// TIME_WAIT
	{name: "timewait", how: "20,000 connects over loopback to one destination, the client closes first, tcp_timestamps 0",
		cause: v1alpha1.CauseTimeWaitChurn, sockdiag: true, build: func(s *stage) {
			s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
			s.StartLoad(newTimeWaitLoad(20000, 1))
		}},
	{name: "timewait-light", how: "range 40000-56999, 9,000 connects, the client closes first, tcp_timestamps 0",
		cause: v1alpha1.CauseTimeWaitChurn, inEveryRun: true, build: func(s *stage) {
			s.setPortRange(40000, 56999)
			s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
			s.StartLoad(newTimeWaitLoad(9000, 1))
		}},
	{name: "timewait-reusable-light", how: "range 40000-56999, 9,000 connects over loopback, tcp_tw_reuse 0, older than 2 s",
		cause: v1alpha1.CauseReusePossible, inEveryRun: true, build: func(s *stage) {
			s.setPortRange(40000, 56999)
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "0")
			s.StartLoad(newTimeWaitLoad(9000, 1))
			waitForReuse()
		}},
	{name: "timewait-full", how: "range 40000-56999, 16,500 connects, tcp_timestamps 0",
		cause: v1alpha1.CauseTimeWaitChurn, sockdiag: true, build: func(s *stage) {
			s.setPortRange(40000, 56999)
			s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
			s.StartLoad(newTimeWaitLoad(16500, 1))
		}},
	{name: "timewait-wide-range", how: "range 1024-65535, 34,000 connects, tcp_timestamps 0",
		cause: v1alpha1.CauseTimeWaitChurn, build: func(s *stage) {
			s.setPortRange(1024, 65535)
			s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
			s.StartLoad(newTimeWaitLoad(34000, 1))
		}},
	{name: "timewait-beside-open", how: "14,000 in TIME_WAIT (tcp_timestamps 0) and 5,000 open connections to one destination",
		cause: v1alpha1.CauseTimeWaitChurn, sockdiag: true, build: func(s *stage) {
			s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
			s.StartLoad(newTimeWaitLoad(14000, 1))
			s.openConnections(5000, home, parseAddrPort("127.1.0.0:80"))
		}},
	{name: "timewait-churn", how: "600 connects a second, each held for 5 s, for 30 s; tcp_timestamps 0",
		cause: v1alpha1.CauseTimeWaitChurn, build: func(s *stage) {
			s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
			s.StartLoad(testnet.Load{Churn: testnet.Churn{Rate: 600, Lifetime: 5 * time.Second}})
			time.Sleep(30 * time.Second) // the condition is time itself
		}},
	{name: "timewait-reusable", how: "20,000 connects over loopback, tcp_tw_reuse 0, TIME_WAIT older than 2 s",
		cause: v1alpha1.CauseReusePossible, sockdiag: true, build: func(s *stage) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "0")
			s.StartLoad(newTimeWaitLoad(20000, 1))
			waitForReuse()
		}},
	{name: "timewait-reusable-veth", how: "range 40000-57999, 9,500 connects over veth, tcp_tw_reuse 2, older than 2 s",
		cause: v1alpha1.CauseReusePossible, build: func(s *stage) {
			s.setPortRange(40000, 57999)
			other := netnstest.New(s.t)
			s.ConnectVeth(other, "10.9.0.1/24", "10.9.0.2/24")
			l := other.Listen("10.9.0.2:80")
			for range 9500 {
				if err := s.Dial(l, parseAddrPort("10.9.0.1:0"), parseAddrPort("10.9.0.2:80")).EnterTimeWait(); err != nil {
					s.t.Fatal(err)
				}
			}
			waitForReuse()
		}},
	{name: "timewait-reused", how: "20,000 connects over loopback with the default tcp_tw_reuse 2: reused all the time, so healthy",
		build: func(s *stage) {
			s.StartLoad(newTimeWaitLoad(20000, 1)) // which turns reuse off
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "2")
			waitForReuse()
		}},

	// Leaks
	{name: "closewait", how: "16,000 clients to one destination that don't close after their server has",
		cause: v1alpha1.CauseCloseWaitLeak, sockdiag: true, build: func(s *stage) {
			s.StartLoad(testnet.Load{CloseWait: 16000, Destinations: 1})
		}},
	{name: "closewait-narrow", how: "range 40000-40999, 700 in CLOSE_WAIT: a narrow range is not why",
		cause: v1alpha1.CauseCloseWaitLeak, sockdiag: true, inEveryRun: true, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			s.StartLoad(testnet.Load{CloseWait: 700, Destinations: 1})
		}},
	{name: "closewait-beside-timewait", how: "range 40000-40999, 450 in CLOSE_WAIT, 250 in TIME_WAIT to one destination",
		cause: v1alpha1.CauseCloseWaitLeak, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "0")
			i := 0
			s.openPairs(700, home, server, func(p testnet.Pair) error {
				if i++; i%14 < 9 {
					return p.EnterCloseWait()
				}
				return p.EnterTimeWait()
			})
		}},
	{name: "finwait2", how: "range 40000-40999, 700 clients closed, their servers do not",
		cause: v1alpha1.CauseFinWaitOrphans, sockdiag: true, inEveryRun: true, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			s.openPairs(700, home, server, testnet.Pair.EnterFinWait2)
		}},
	{name: "finwait2-held", how: "range 40000-40999, 700 clients called shutdown() and hold their sockets, their servers do not close",
		cause: v1alpha1.CauseFinWaitOrphans, inspects: true, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			s.openPairs(700, home, server, func(p testnet.Pair) error {
				return errors.Join(unix.Shutdown(p.Client.FD(), unix.SHUT_WR), p.Client.AwaitState(tcpstate.FinWait2))
			})
		}},
	{name: "finwait1", how: "range 40000-40999, 600 clients closed, their servers are deaf (a filter drops all)",
		cause: v1alpha1.CauseFinWaitOrphans, sockdiag: true, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			s.openPairs(600, home, server, func(p testnet.Pair) error {
				return errors.Join(p.Server.DropPackets(), p.Client.CloseGently())
			})
		}},
	{name: "closing", how: "range 40000-40999, 600 servers closed and are deaf, then their clients: LAST_ACK",
		cause: v1alpha1.CauseFinWaitOrphans, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			s.openPairs(600, home, server, func(p testnet.Pair) error {
				return errors.Join(unix.Shutdown(p.Server.FD(), unix.SHUT_WR), p.Client.AwaitState(tcpstate.CloseWait),
					p.Server.AwaitState(tcpstate.FinWait2), p.Server.DropPackets(), p.Client.CloseGently())
			})
		}},
	{name: "halfopen", how: "range 40000-40999, 600 clients sent a byte to servers that are deaf by then",
		cause: v1alpha1.CauseHalfOpen, inspects: true, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			s.openPairs(600, home, server, func(p testnet.Pair) error {
				return errors.Join(p.Server.DropPackets(), p.Client.Send([]byte("x")))
			})
			s.isReady = func(l *socket.PoolDetail) bool { return l.Unanswered == l.Established }
		}},
	{name: "halfopen-keepalive", how: "range 40000-40999, 600 clients probe (SO_KEEPALIVE) servers that are deaf",
		cause: v1alpha1.CauseHalfOpen, inspects: true, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			s.openPairs(600, home, server, func(p testnet.Pair) error {
				return errors.Join(p.Server.DropPackets(),
					p.Client.SetOption(testnet.Option{Level: unix.IPPROTO_TCP, Name: unix.TCP_KEEPIDLE, Value: 1}),
					p.Client.SetOption(testnet.Option{Level: unix.IPPROTO_TCP, Name: unix.TCP_KEEPINTVL, Value: 5}),
					p.Client.SetOption(testnet.Option{Level: unix.IPPROTO_TCP, Name: unix.TCP_KEEPCNT, Value: 100}),
					p.Client.SetOption(testnet.Option{Level: unix.SOL_SOCKET, Name: unix.SO_KEEPALIVE, Value: 1}))
			})
			s.isReady = func(l *socket.PoolDetail) bool { return l.Unanswered == l.Established }
		}},

	// Open connections
	{name: "established", how: "16,000 open connections to one destination (TCP_REPAIR)",
		cause: v1alpha1.CauseEstablishedPool, sockdiag: true, build: func(s *stage) {
			s.StartLoad(testnet.Load{Established: 16000, Destinations: 1})
		}},
	{name: "established-light", how: "range 40000-56999, 9,000 open connections to one destination",
		cause: v1alpha1.CauseEstablishedPool, inEveryRun: true, build: func(s *stage) {
			s.setPortRange(40000, 56999)
			s.StartLoad(testnet.Load{Established: 9000, Destinations: 1})
		}},
	{name: "established-looked-at", how: "16,500 open connections to one destination, seconds old, with a closer look",
		cause: v1alpha1.CauseEstablishedPool, inspects: true, build: func(s *stage) {
			s.StartLoad(testnet.Load{Established: 16500, Destinations: 1})
		}},
	{name: "established-6", how: "range 40000-59999, 15,000 open connections to [::1]:1",
		cause: v1alpha1.CauseEstablishedPool, sockdiag: true, build: func(s *stage) {
			s.setPortRange(40000, 59999)
			s.StartLoad(testnet.Load{Established6: 15000, Destinations: 1})
		}},
	{name: "established-mapped", how: "range 40000-57999, 5,500 connections of IPv4 and 5,500 of IPv4-mapped sockets share a pool",
		cause: v1alpha1.CauseEstablishedPool, sockdiag: true, build: func(s *stage) {
			s.setPortRange(40000, 57999)
			s.openConnections(5500, home, server)
			s.openConnections(5500, parseAddrPort("[::ffff:127.0.0.1]:0"), parseAddrPort("[::ffff:127.0.0.1]:80"))
		}},
	{name: "sidecar", how: "range 40000-57999, 12,000 connections from 127.0.0.6, as an Istio sidecar hands them on",
		cause: v1alpha1.CauseEstablishedPool, build: func(s *stage) {
			s.setPortRange(40000, 57999)
			s.openConnections(12000, parseAddrPort("127.0.0.6:0"), parseAddrPort("127.0.0.1:9090"))
		}},
	{name: "idle", how: "17,000 open connections to one destination that carried nothing for 61 s",
		cause: v1alpha1.CauseIdleConnections, inspects: true, build: func(s *stage) {
			s.StartLoad(testnet.Load{Established: 17000, Destinations: 1})
			time.Sleep(socket.SilentAfter + time.Second) // the condition is time itself
		}},
	{name: "few-sources", how: "range 1024-65535, 45,000 open connections of 3 processes to one destination",
		cause: v1alpha1.CauseFewSources, sockdiag: true, build: func(s *stage) {
			s.setPortRange(1024, 65535)
			for range 3 {
				s.StartLoad(testnet.Load{Established: 15000, Destinations: 1})
			}
		}},
	{name: "descriptors", how: "16,000 open connections of a process with RLIMIT_NOFILE 16,500 (prlimit)",
		cause: v1alpha1.CauseFileDescriptors, inspects: true, build: func(s *stage) {
			p := s.StartLoad(testnet.Load{Established: 16000, Destinations: 1})
			var limit unix.Rlimit
			if err := unix.Prlimit(p.PID(), unix.RLIMIT_NOFILE, nil, &limit); err != nil {
				s.t.Fatal(err)
			}
			limit.Cur = 16500
			if err := unix.Prlimit(p.PID(), unix.RLIMIT_NOFILE, &limit, nil); err != nil {
				s.t.Fatal(err)
			}
		}},

	// The range
	{name: "narrow", how: "range 40000-40999, 800 open connections",
		cause: v1alpha1.CauseNarrowRange, sockdiag: true, inEveryRun: true, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			s.openConnections(800, home, server)
		}},
	{name: "narrow-timewait", how: "range 50000-54999, 4,000 connects, tcp_timestamps 0",
		cause: v1alpha1.CauseNarrowRange, sockdiag: true, build: func(s *stage) {
			s.setPortRange(50000, 54999)
			s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
			s.StartLoad(newTimeWaitLoad(4000, 1))
		}},
	{name: "narrow-mixed", how: "range 40000-40999, 300 open connections and 300 in TIME_WAIT",
		cause: v1alpha1.CauseNarrowRange, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "0")
			s.openPairs(300, home, server, testnet.Pair.EnterTimeWait)
			s.openConnections(300, home, server)
		}},
	{name: "narrow-reserved", how: "the default range with 32768-60499 reserved, 400 open connections",
		cause: v1alpha1.CauseNarrowRange, build: func(s *stage) {
			s.WriteSysctl("net.ipv4.ip_local_reserved_ports", "32768-60499")
			s.openConnections(400, home, server)
		}},

	// SYN_SENT
	{name: "synsent", how: "15,500 connects to one destination that drops them (a deaf listener)",
		cause: v1alpha1.CauseSynSentStall, sockdiag: true, build: func(s *stage) {
			s.startConnects(15500, server)
		}},
	{name: "synsent-narrow", how: "range 40000-40999, 900 connects to a destination that drops them",
		cause: v1alpha1.CauseSynSentStall, inEveryRun: true, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			s.startConnects(900, server)
		}},
	{name: "synsent-scan", how: "range 40000-40999, 600 connects to one destination that drops them and one to each of 300 others",
		cause: v1alpha1.CauseSynSentStall, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			s.startConnects(600, server)
			if err := s.Listen("0.0.0.0:445").DropPackets(); err != nil {
				s.t.Fatal(err)
			}
			for i := range 300 {
				to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 9, byte(i >> 8), byte(i)}), 445)
				if _, err := s.StartConnect(home, to); err != nil {
					s.t.Fatal(err)
				}
			}
		}},

	// bind()
	{name: "bound", how: "range 40000-57999, 10,000 sockets that bind(0) before they connect, to two destinations",
		cause: v1alpha1.CauseBoundPorts, build: func(s *stage) {
			s.setPortRange(40000, 57999)
			s.openBoundConnections(5000, server)
			s.openBoundConnections(5000, parseAddrPort("127.0.0.2:80"))
		}},
	{name: "bound-narrow", how: "range 40000-40999, 600 that bind(0) before they connect, 200 open connections without",
		cause: v1alpha1.CauseBoundPorts, inEveryRun: true, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			s.openBoundConnections(600, server)
			s.openConnections(200, home, server)
		}},
	{name: "bound-timewait", how: "range 40000-40999, 600 that bind(0) before they connect, now in TIME_WAIT, tcp_tw_reuse 1",
		cause: v1alpha1.CauseBoundPorts, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
			l := s.Listen("0.0.0.0:80")
			for range 600 {
				p, err := s.DialBound(l, wildcard, server)
				if err == nil {
					err = p.EnterTimeWait()
				}
				if err != nil {
					s.t.Fatal(err)
				}
			}
		}},
	{name: "bound-only", how: "range 40000-40999, 700 sockets that bind(0) and do nothing more",
		cause: v1alpha1.CauseBoundPorts, sockdiag: true, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			for range 700 {
				if _, err := s.Bind(wildcard); err != nil {
					s.t.Fatal(err)
				}
			}
		}},
	{name: "bound-beside-proxy", how: "range 40000-40999, 200 explicit binds, and 400 open connections to each of two destinations from ports of their own: bind(0) runs out",
		cause: v1alpha1.CauseBoundPorts, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			s.openBoundConnections(200, server)
			for i := range 800 { // each with its own port, though connect() could share ports
				to := parseAddrPort("127.0.0.2:80")
				if i%2 == 0 {
					to = parseAddrPort("127.0.0.3:80")
				}
				port := uint16(40100 + i)
				_, err := s.Connect(home, to, testnet.Repair, testnet.LocalPortRange(ports.Range{First: port, Last: port}))
				if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) { // taken by bind(0)
					s.t.Fatal(err)
				}
			}
		}},
	{name: "udp", how: "range 40000-40999, 700 UDP sockets, bound and connected",
		cause: v1alpha1.CauseBoundPorts, sockdiag: true, inEveryRun: true, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			for range 350 {
				_, err := s.BindUDP(wildcard)
				_, err2 := s.ConnectUDP(home, parseAddrPort("127.0.0.1:53"))
				if err := errors.Join(err, err2); err != nil {
					s.t.Fatal(err)
				}
			}
		}},
	{name: "listeners", how: "range 40000-40999, services listen on 600 of its ports, 100 open connections",
		cause: v1alpha1.CauseListenerInRange, sockdiag: true, inEveryRun: true, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			for i := range 600 {
				s.Listen(fmt.Sprintf("127.0.0.99:%d", 40100+i)) // the background load uses ports of 127.0.0.1
			}
			s.openConnections(100, home, server)
		}},

	// Several causes at the same time
	{name: "mixed", how: "range 40000-40999, 220 open, 220 in TIME_WAIT, 220 in CLOSE_WAIT, 220 in SYN_SENT to one destination",
		cause: v1alpha1.CauseUnknown, build: func(s *stage) {
			s.setPortRange(40000, 40999)
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "0")
			l := s.Listen(server.String())
			for range 220 {
				errTW, errCW := s.Dial(l, home, server).EnterTimeWait(), s.Dial(l, home, server).EnterCloseWait()
				if err := errors.Join(errTW, errCW); err != nil {
					s.t.Fatal(err)
				}
			}
			s.openConnections(150, home, server)
			if err := l.DropPackets(); err != nil {
				s.t.Fatal(err)
			}
			for range 300 {
				if _, err := s.StartConnect(home, server); err != nil {
					s.t.Fatal(err)
				}
			}
		}},

	// No port exhaustion
	{name: "busy-server", how: "60,000 clients of a server, and 90,000 in TIME_WAIT over 23 destinations, 20 times its 4,500 open connections to others: healthy",
		build: func(s *stage) {
			s.WriteSysctl("net.ipv4.tcp_max_tw_buckets", "262144")
			s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
			s.StartLoad(testnet.Load{Inbound: 60000, TimeWait: 90000})
			s.StartLoad(testnet.Load{Established: 4500, Destinations: 5})
		}},
	{name: "busy-server-light", how: "5,000 clients of a server, and 12,000 in TIME_WAIT over 3 destinations, 24 times its 500 open connections to others: healthy",
		inEveryRun: true, build: func(s *stage) {
			s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
			s.StartLoad(testnet.Load{Inbound: 5000, TimeWait: 12000})
			s.StartLoad(testnet.Load{Established: 500, Destinations: 5})
		}},
	{name: "busy-proxy", how: "range 32768-60999, 12,000 open connections to each of 4 upstreams, which share their ports: healthy",
		build: func(s *stage) {
			s.StartLoad(testnet.Load{Established: 48000, Destinations: 4})
		}},
	{name: "quiet-explained", how: "only the noise; somebody asked what is wrong",
		cause: v1alpha1.CausePoolNotTight, sockdiag: true, inEveryRun: true, build: func(s *stage) {
			s.facts.Explain = true
		}},
	{name: "conntrack-full", how: "one UDP packet to each of 270,000 addresses with connection tracking on (nft ct state), nf_conntrack_max 262144; somebody asked",
		cause: v1alpha1.CauseConntrackFull, build: func(s *stage) {
			s.facts.Explain, s.owner = true, socket.Owner{Kind: socket.OwnerHost}
			s.enableConntrack()
			s.Do(func() { s.sendPackets(270000) })
			s.readCounters()
		}},
	{name: "conntrack-roomy", how: "the same with 20,000 packets",
		cause: v1alpha1.CausePoolNotTight, build: func(s *stage) {
			s.facts.Explain, s.owner = true, socket.Owner{Kind: socket.OwnerHost}
			s.enableConntrack()
			s.Do(func() { s.sendPackets(20000) })
			s.readCounters()
		}},
}

func (s *stage) openBoundConnections(count int, dst netip.AddrPort) {
	s.t.Helper()
	for range count {
		if _, err := s.BindConnect(home, dst, testnet.Repair); err != nil {
			s.t.Fatal(err)
		}
	}
}

// enableConntrack enables connection tracking.
func (s *stage) enableConntrack() {
	s.t.Helper()
	cmd := exec.Command("nft", "add table inet t; add chain inet t o { type filter hook output priority 0; }; add rule inet t o ct state new counter")
	s.Start(cmd)
	if err := cmd.Wait(); err != nil {
		s.t.Fatalf("nft: %v", err)
	}
}

// sendPackets sends one packet to each of count addresses, in the calling thread's
// namespace.
func (s *stage) sendPackets(count int) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer unix.Close(fd)
	for i := range count {
		to := &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, byte(100 + i>>16), byte(i >> 8), byte(i)}}
		if err := unix.Sendto(fd, []byte{0}, 0, to); err != nil && !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.EPERM) {
			s.t.Fatal(err)
		}
	}
}
