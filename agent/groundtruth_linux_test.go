package agent_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

// Every row of the experiments in docs/how-it-measures.md: what is reported is
// what the kernel then gives.
func TestGroundTruth(t *testing.T) {
	rs := openReaders(t)
	for _, c := range []struct {
		name string
		run  func(*testNamespace)
	}{
		{"an unused namespace has the whole range", func(s *testNamespace) {
			s.expectPorts(connectTo(server), 100)
			s.expectPorts(bindAny, 100)
			s.expectPorts(bindUDP, 100)
		}},
		{"connects to one destination end at the range's length", func(s *testNamespace) {
			s.connect(30, home, server)
			s.expectPorts(connectTo(server), 70)
			s.connect(70, home, server)
			s.expectPorts(connectTo(server), 0)
		}},
		{"another address, port or source has a pool of its own, over the same ports", func(s *testNamespace) {
			s.connect(100, home, server)
			s.connect(100, home, elsewhere)
			s.connect(60, home, ap("127.0.0.1:81"))
			s.connect(50, ap("127.0.0.9:0"), server)
			s.expectPorts(connectTo(elsewhere), 0)
			s.expectPorts(connectTo(ap("127.0.0.1:81")), 40)
			s.expectPorts(connectFrom(ap("127.0.0.9:0"), server), 50)
			s.expectPorts(connectTo(ap("127.0.0.3:80")), 100)
			s.expectPorts(bindAny, 0)
		}},
		{"IP_BIND_ADDRESS_NO_PORT shares ports between destinations", func(s *testNamespace) {
			s.connect(100, ap("127.0.0.1:0"), server, testnet.NoPort)
			s.expectPorts(connectTo(elsewhere), 100)
			s.connect(100, ap("127.0.0.1:0"), elsewhere, testnet.NoPort)
			s.expectPorts(connectTo(elsewhere), 0)
		}},
		{"bind-before-connect shares one pool for all destinations", func(s *testNamespace) {
			if got := s.bindConnect(60, wildcard, server); got != 60 {
				s.t.Fatalf("%d connections to the first destination, want 60", got)
			}
			s.expectPorts(connectTo(elsewhere), 40)
			if got := s.bindConnect(60, wildcard, elsewhere); got != 40 {
				s.t.Errorf("%d connections to the second destination, want 40", got)
			}
			s.expectPorts(bindAny, 0)
			s.expectPorts(connectTo(ap("127.0.0.3:80")), 0)
		}},
		{"binds to two addresses leave none for the wildcard address", func(s *testNamespace) {
			s.bind(100, ap("127.0.0.1:0"))
			s.bind(100, ap("127.0.0.9:0"))
			s.expectPorts(bindAny, 0)
			s.expectPorts(connectTo(server), 0)
		}},
		{"SO_REUSEPORT alone does not stretch bind(0)", func(s *testNamespace) {
			s.bind(100, wildcard, testnet.ReusePort)
			s.expectPorts(bindAny, 0)
		}},
		{"SO_REUSEADDR does not stretch bind(0) while ip_autobind_reuse is 0", func(s *testNamespace) {
			s.bind(100, wildcard, testnet.ReuseAddr)
			s.expectPorts(bindAny, 0)
		}},
		{"SO_REUSEADDR with ip_autobind_reuse has no end, and other binds do", func(s *testNamespace) {
			s.Sysctl("net.ipv4.ip_autobind_reuse", "1")
			s.bind(300, wildcard, testnet.ReuseAddr)
			s.checkReaders(bindAny)
			s.checkReaders(connectTo(server))
		}},
		{"ports of connects are held for bind(0)", func(s *testNamespace) {
			s.connect(40, home, server)
			s.expectPorts(bindAny, 60)
		}},
		{"listeners in the range take their port from every destination", func(s *testNamespace) {
			for port := range 10 {
				s.Listen(fmt.Sprintf("127.0.0.1:%d", 40020+port))
			}
			s.Listen("127.0.0.7:40050")
			s.expectPorts(connectTo(server), 89)
			s.expectPorts(connectTo(elsewhere), 89)
			s.connect(89, home, server)
			s.expectPorts(connectTo(server), 0)
		}},
		{"the lowest listening ports of the range are named", func(s *testNamespace) {
			// All over the range, since the kernel's table begins anywhere in it.
			s.Sysctl("net.ipv4.ip_local_port_range", "5000 64999")
			s.Sysctl("net.ipv4.ip_local_reserved_ports", "15000")
			for port := 60000; port > 0; port -= 5000 {
				s.Listen(fmt.Sprintf("127.0.0.1:%d", port))
			}
			s.Listen("127.0.0.1:4999")
			s.Listen("[::1]:30000")
			s.bind(1, wildcard)
			want := []uint16{5000, 10000, 20000, 25000, 30000, 35000, 40000, 45000}
			for name, r := range s.readers {
				sample := s.sample(r)
				if got := network(s.t, &sample, s.Inode()).ListenPorts; !slices.Equal(got, want) {
					s.t.Errorf("%s names the listening ports %v, want %v", name, got, want)
				}
			}
		}},
		{"reserved ports are taken from both kinds of pool", func(s *testNamespace) {
			s.Sysctl("net.ipv4.ip_local_reserved_ports", "1-5,39990-40050,60000")
			s.expectPorts(connectTo(server), 49)
			s.expectPorts(bindAny, 49)
			s.connect(20, home, server)
			s.expectPorts(connectTo(server), 29)
			s.expectPorts(bindAny, 29)
			s.expectPorts(bindUDP, 49)
		}},
		{"a reserved port that is bound anyway is not counted twice", func(s *testNamespace) {
			s.Sysctl("net.ipv4.ip_local_reserved_ports", "40000-40009")
			s.bind(1, ap("127.0.0.1:40005"))
			s.expectPorts(connectTo(server), 90)
			s.expectPorts(bindAny, 90)
		}},
		{"IPv6 has pools of its own for connect(), and shares those of bind(0)", func(s *testNamespace) {
			s.connect(100, home, server)
			s.expectPorts(connectTo(ap("[::1]:80")), 100)
			s.connect(60, ap("[::1]:0"), ap("[::1]:80"))
			s.expectPorts(connectTo(ap("[::1]:80")), 40)
			s.expectPorts(bindAny, 0)
		}},
		{"IPv4-mapped IPv6 shares the IPv4 pools", func(s *testNamespace) {
			s.connect(30, home, server)
			s.connect(30, ap("[::ffff:127.0.0.1]:0"), ap("[::ffff:127.0.0.1]:80"))
			s.expectPorts(connectTo(server), 40)
			s.expectPorts(connectFrom(ap("[::ffff:127.0.0.1]:0"), ap("[::ffff:127.0.0.1]:80")), 40)
		}},
		{"TIME_WAIT is not reused while tcp_tw_reuse is 0", func(s *testNamespace) {
			s.Sysctl("net.ipv4.tcp_tw_reuse", "0")
			s.pairs(100, s.Listen("127.0.0.1:80"), home, server, testnet.Pair.TimeWait)
			s.waitForReuse()
			s.expectPorts(connectTo(server), 0)
			s.checkReuseAll(connectTo(server), 100)
		}},
		{"TIME_WAIT is reused after a delay when tcp_tw_reuse is 1", func(s *testNamespace) {
			s.Sysctl("net.ipv4.tcp_tw_reuse", "1")
			s.pairs(100, s.Listen("127.0.0.1:80"), home, server, testnet.Pair.TimeWait)
			s.waitForReuse()
			s.checkStates(tcpstate.Counts{tcpstate.TimeWait: 100, tcpstate.Listen: 1})
			s.expectPorts(connectTo(server), 100)
		}},
		{"TIME_WAIT is not reused before the delay", func(s *testNamespace) {
			s.Sysctl("net.ipv4.tcp_tw_reuse", "1")
			if err := s.Space.Sysctl("net.ipv4.tcp_tw_reuse_delay", "60000"); err != nil {
				s.t.Skipf("this kernel has no tcp_tw_reuse_delay (Linux 6.14): %v", err)
			}
			s.pairs(100, s.Listen("127.0.0.1:80"), home, server, testnet.Pair.TimeWait)
			s.expectPorts(connectTo(server), 0)
		}},
		{"TIME_WAIT of a peer without timestamps is not reused", func(s *testNamespace) {
			s.Sysctl("net.ipv4.tcp_tw_reuse", "1")
			s.Sysctl("net.ipv4.tcp_timestamps", "0")
			s.pairs(100, s.Listen("127.0.0.1:80"), home, server, testnet.Pair.TimeWait)
			s.Sysctl("net.ipv4.tcp_timestamps", "1") // the peer's word counts, not the setting's
			s.waitForReuse()
			s.expectPorts(connectTo(server), 0)
		}},
		{"TIME_WAIT over loopback is reused when tcp_tw_reuse is 2", func(s *testNamespace) {
			s.Sysctl("net.ipv4.tcp_tw_reuse", "2")
			s.pairs(60, s.Listen("127.0.0.1:80"), home, server, testnet.Pair.TimeWait)
			s.pairs(60, s.Listen("[::1]:80"), ap("[::1]:0"), ap("[::1]:80"), testnet.Pair.TimeWait)
			s.waitForReuse()
			s.expectPorts(connectTo(server), 100)
			s.expectPorts(connectTo(ap("[::1]:80")), 100)
		}},
		{"TIME_WAIT over veth is not reused when tcp_tw_reuse is 2", func(s *testNamespace) {
			s.Sysctl("net.ipv4.tcp_tw_reuse", "2")
			other := newTestNamespace(s.t, nil)
			s.Pair(other.NS, "10.9.0.1/24", "10.9.0.2/24")
			s.pairs(100, other.Listen("10.9.0.2:80"), ap("10.9.0.1:0"), ap("10.9.0.2:80"), testnet.Pair.TimeWait)
			s.waitForReuse()
			s.expectPorts(connectFrom(ap("10.9.0.1:0"), ap("10.9.0.2:80")), 0)
			s.checkReuseAll(connectFrom(ap("10.9.0.1:0"), ap("10.9.0.2:80")), 100)
		}},
		{"of TIME_WAIT some would be reused if tcp_tw_reuse were 1", func(s *testNamespace) {
			s.Sysctl("net.ipv4.tcp_tw_reuse", "0")
			l := s.Listen("127.0.0.1:80")
			s.pairs(30, l, home, server, testnet.Pair.CloseWait)
			s.pairs(20, l, home, server, testnet.Pair.TimeWait)
			s.Sysctl("net.ipv4.tcp_timestamps", "0")
			s.pairs(10, l, home, server, testnet.Pair.TimeWait)
			s.Sysctl("net.ipv4.tcp_timestamps", "1")
			s.waitForReuse()
			s.checkReuseAll(connectTo(server), 60)
		}},
		{"TIME_WAIT of bind-before-connect blocks every destination, whatever tcp_tw_reuse", func(s *testNamespace) {
			s.Sysctl("net.ipv4.tcp_tw_reuse", "1")
			l := s.Listen("0.0.0.0:80")
			var made []testnet.Pair
			for range 100 {
				p, err := s.DialBound(l, wildcard, server)
				if err != nil {
					s.t.Fatal(err)
				}
				made = append(made, p)
			}
			s.end(made, testnet.Pair.TimeWait)
			s.waitForReuse()
			s.expectPorts(connectTo(server), 0)
			s.expectPorts(connectTo(elsewhere), 0)
		}},
		{"of the closing states only TIME_WAIT is reused", func(s *testNamespace) {
			s.Sysctl("net.ipv4.tcp_tw_reuse", "1")
			l := s.Listen("127.0.0.1:80")
			var made []testnet.Pair
			for range 60 {
				made = append(made, s.Dial(l, home, server))
			}
			s.end(made[:20], testnet.Pair.CloseWait)
			s.end(made[20:40], testnet.Pair.FinWait2)
			s.end(made[40:], testnet.Pair.TimeWait)
			s.waitForReuse()
			s.checkStates(tcpstate.Counts{tcpstate.CloseWait: 40, tcpstate.FinWait2: 40, tcpstate.TimeWait: 20, tcpstate.Listen: 1})
			s.expectPorts(connectTo(server), 60)
		}},
		{"UDP has one pool for bind(0) and for connect(), apart from TCP's", func(s *testNamespace) {
			s.connect(100, home, server)
			for range 30 {
				if _, err := s.BindUDP(wildcard); err != nil {
					s.t.Fatal(err)
				}
				if _, err := s.ConnectUDP(home, ap("127.0.0.1:53")); err != nil {
					s.t.Fatal(err)
				}
			}
			s.expectPorts(bindUDP, 40)
			got, err := s.ExhaustConnectUDP(ap("127.0.0.1:53"))
			if got != 40 || err != nil {
				s.t.Errorf("connect() of UDP sockets gives %d ports (%v), want 40", got, err)
			}
		}},
		{"a socket's own range narrows, and is ignored outside of the namespace's", func(s *testNamespace) {
			s.connect(10, home, server)
			inside, err := s.Space.Exhaust(home, server, testnet.LocalPortRange(ports.Range{First: 40090, Last: 40099}))
			if errors.Is(err, unix.ENOPROTOOPT) {
				s.t.Skip("this kernel has no IP_LOCAL_PORT_RANGE (Linux 6.3)")
			}
			outside, err2 := s.Space.Exhaust(home, server, testnet.LocalPortRange(ports.Range{First: 50000, Last: 50009}))
			if inside > 10 || outside != 90 || err != nil || err2 != nil {
				s.t.Errorf("%d ports in a range inside (%v), %d in one outside (%v), want at most 10 and 90", inside, err, outside, err2)
			}
			s.expectPorts(connectTo(server), 90)
		}},
		{"an odd range is counted for certainty", func(s *testNamespace) {
			s.Sysctl("net.ipv4.ip_local_port_range", "40000 40098")
			sample := s.sample(s.readers["portwalk"])
			got := headroom(network(s.t, &sample, s.Inode()), connectTo(server))
			if truth := s.exhaustPool(connectTo(server)); got != 98 || truth < 98 || truth > 99 {
				s.t.Errorf("reported %d, the kernel gives %d; want 98, and 98 or 99", got, truth)
			}
		}},
		{"sockets that only bind are counted as bound", func(s *testNamespace) {
			s.bind(7, wildcard)
			s.connect(3, home, server)
			s.checkStates(tcpstate.Counts{tcpstate.Bound: 7, tcpstate.Established: 3})
		}},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(newTestNamespace(t, rs)) })
	}
}

// connect() tries the range's first parity first and bind(0) the other one, so
// that they don't meet before half of the range is gone.
func TestParityOfAutomaticPorts(t *testing.T) {
	s := newTestNamespace(t, nil)
	for range 50 {
		c, err := s.Connect(home, server, testnet.Repair)
		if err != nil {
			t.Fatal(err)
		}
		if c.Local().Port()%2 != 0 {
			t.Errorf("connect() chose the odd port %d", c.Local().Port())
		}
	}
	for range 50 {
		b, err := s.Bind(wildcard)
		if err != nil {
			t.Fatal(err)
		}
		if b.Local().Port()%2 != 1 {
			t.Errorf("bind(0) chose the even port %d", b.Local().Port())
		}
	}
}
