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

// TestGroundTruth checks every statement of docs/how-it-measures.md: the reported number
// of ports is the number that the kernel then gives.
func TestGroundTruth(t *testing.T) {
	rs := openReaders(t)
	for _, c := range []struct {
		name string
		run  func(*scenario)
	}{
		{"an unused namespace has the whole range", func(s *scenario) {
			s.expectHeadroom(connectTo(server), 100)
			s.expectHeadroom(bindAny, 100)
			s.expectHeadroom(bindUDP, 100)
		}},
		{"connects to one destination use up the range", func(s *scenario) {
			s.openConnections(30, loopback, server)
			s.expectHeadroom(connectTo(server), 70)
			s.openConnections(70, loopback, server)
			s.expectHeadroom(connectTo(server), 0)
		}},
		{"another address, port or source has its own pool of the same ports", func(s *scenario) {
			s.openConnections(100, loopback, server)
			s.openConnections(100, loopback, elsewhere)
			s.openConnections(60, loopback, addrPort("127.0.0.1:81"))
			s.openConnections(50, addrPort("127.0.0.9:0"), server)
			s.expectHeadroom(connectTo(elsewhere), 0)
			s.expectHeadroom(connectTo(addrPort("127.0.0.1:81")), 40)
			s.expectHeadroom(connectFrom(addrPort("127.0.0.9:0"), server), 50)
			s.expectHeadroom(connectTo(addrPort("127.0.0.3:80")), 100)
			s.expectHeadroom(bindAny, 0)
		}},
		{"IP_BIND_ADDRESS_NO_PORT shares ports between destinations", func(s *scenario) {
			s.openConnections(100, addrPort("127.0.0.1:0"), server, testnet.NoPort)
			s.expectHeadroom(connectTo(elsewhere), 100)
			s.openConnections(100, addrPort("127.0.0.1:0"), elsewhere, testnet.NoPort)
			s.expectHeadroom(connectTo(elsewhere), 0)
		}},
		{"bind-before-connect shares one pool for all destinations", func(s *scenario) {
			if got := s.openBoundConnections(60, wildcard, server); got != 60 {
				s.t.Fatalf("%d connections to the first destination, want 60", got)
			}
			s.expectHeadroom(connectTo(elsewhere), 40)
			if got := s.openBoundConnections(60, wildcard, elsewhere); got != 40 {
				s.t.Errorf("%d connections to the second destination, want 40", got)
			}
			s.expectHeadroom(bindAny, 0)
			s.expectHeadroom(connectTo(addrPort("127.0.0.3:80")), 0)
		}},
		{"binds to two addresses leave none for the wildcard address", func(s *scenario) {
			s.openBound(100, addrPort("127.0.0.1:0"))
			s.openBound(100, addrPort("127.0.0.9:0"))
			s.expectHeadroom(bindAny, 0)
			s.expectHeadroom(connectTo(server), 0)
		}},
		{"SO_REUSEPORT alone does not give bind(0) more ports", func(s *scenario) {
			s.openBound(100, wildcard, testnet.ReusePort)
			s.expectHeadroom(bindAny, 0)
		}},
		{"SO_REUSEADDR does not give bind(0) more ports while ip_autobind_reuse is 0", func(s *scenario) {
			s.openBound(100, wildcard, testnet.ReuseAddr)
			s.expectHeadroom(bindAny, 0)
		}},
		{"SO_REUSEADDR with ip_autobind_reuse has no limit, unlike other binds", func(s *scenario) {
			s.WriteSysctl("net.ipv4.ip_autobind_reuse", "1")
			s.openBound(300, wildcard, testnet.ReuseAddr)
			s.checkHeadroom(bindAny)
			s.checkHeadroom(connectTo(server))
		}},
		{"ports of connects are in use for bind(0)", func(s *scenario) {
			s.openConnections(40, loopback, server)
			s.expectHeadroom(bindAny, 60)
		}},
		{"listeners in the range take their port from every destination", func(s *scenario) {
			for port := range 10 {
				s.Listen(fmt.Sprintf("127.0.0.1:%d", 40020+port))
			}
			s.Listen("127.0.0.7:40050")
			s.expectHeadroom(connectTo(server), 89)
			s.expectHeadroom(connectTo(elsewhere), 89)
			s.openConnections(89, loopback, server)
			s.expectHeadroom(connectTo(server), 0)
		}},
		{"the lowest listening ports of the range are reported", func(s *scenario) {
			// Over the whole range, because the kernel's table starts anywhere in it.
			s.WriteSysctl("net.ipv4.ip_local_port_range", "5000 64999")
			s.WriteSysctl("net.ipv4.ip_local_reserved_ports", "15000")
			for port := 60000; port > 0; port -= 5000 {
				s.Listen(fmt.Sprintf("127.0.0.1:%d", port))
			}
			s.Listen("127.0.0.1:4999")
			s.Listen("[::1]:30000")
			s.openBound(1, wildcard)
			want := []uint16{5000, 10000, 20000, 25000, 30000, 35000, 40000, 45000}
			for name, r := range s.readers {
				sample := s.takeSample(r)
				if got := findNetwork(s.t, &sample, s.Inode()).ListenPorts; !slices.Equal(got, want) {
					s.t.Errorf("%s reports the listening ports %v, want %v", name, got, want)
				}
			}
		}},
		{"reserved ports reduce both kinds of pool", func(s *scenario) {
			s.WriteSysctl("net.ipv4.ip_local_reserved_ports", "1-5,39990-40050,60000")
			s.expectHeadroom(connectTo(server), 49)
			s.expectHeadroom(bindAny, 49)
			s.openConnections(20, loopback, server)
			s.expectHeadroom(connectTo(server), 29)
			s.expectHeadroom(bindAny, 29)
			s.expectHeadroom(bindUDP, 49)
		}},
		{"a reserved port that is bound anyway is not counted twice", func(s *scenario) {
			s.WriteSysctl("net.ipv4.ip_local_reserved_ports", "40000-40009")
			s.openBound(1, addrPort("127.0.0.1:40005"))
			s.expectHeadroom(connectTo(server), 90)
			s.expectHeadroom(bindAny, 90)
		}},
		{"IPv6 has its own pools for connect(), and shares those of bind(0)", func(s *scenario) {
			s.openConnections(100, loopback, server)
			s.expectHeadroom(connectTo(addrPort("[::1]:80")), 100)
			s.openConnections(60, addrPort("[::1]:0"), addrPort("[::1]:80"))
			s.expectHeadroom(connectTo(addrPort("[::1]:80")), 40)
			s.expectHeadroom(bindAny, 0)
		}},
		{"IPv4-mapped IPv6 shares the IPv4 pools", func(s *scenario) {
			s.openConnections(30, loopback, server)
			s.openConnections(30, addrPort("[::ffff:127.0.0.1]:0"), addrPort("[::ffff:127.0.0.1]:80"))
			s.expectHeadroom(connectTo(server), 40)
			s.expectHeadroom(connectFrom(addrPort("[::ffff:127.0.0.1]:0"), addrPort("[::ffff:127.0.0.1]:80")), 40)
		}},
		{"TIME_WAIT is not reused while tcp_tw_reuse is 0", func(s *scenario) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "0")
			s.makePairs(100, s.Listen("127.0.0.1:80"), loopback, server, testnet.Pair.EnterTimeWait)
			s.waitUntilReusable()
			s.expectHeadroom(connectTo(server), 0)
			s.expectHeadroomIfAllReused(connectTo(server), 100)
		}},
		{"TIME_WAIT is reused after a delay when tcp_tw_reuse is 1", func(s *scenario) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
			s.makePairs(100, s.Listen("127.0.0.1:80"), loopback, server, testnet.Pair.EnterTimeWait)
			s.waitUntilReusable()
			s.expectStates(tcpstate.Counts{tcpstate.TimeWait: 100, tcpstate.Listen: 1})
			s.expectHeadroom(connectTo(server), 100)
		}},
		{"TIME_WAIT is not reused before the delay", func(s *scenario) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
			if err := s.Namespace.WriteSysctl("net.ipv4.tcp_tw_reuse_delay", "60000"); err != nil {
				s.t.Skipf("this kernel has no tcp_tw_reuse_delay (Linux 6.14): %v", err)
			}
			s.makePairs(100, s.Listen("127.0.0.1:80"), loopback, server, testnet.Pair.EnterTimeWait)
			s.expectHeadroom(connectTo(server), 0)
		}},
		{"TIME_WAIT of a peer without timestamps is not reused", func(s *scenario) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
			s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
			s.makePairs(100, s.Listen("127.0.0.1:80"), loopback, server, testnet.Pair.EnterTimeWait)
			s.WriteSysctl("net.ipv4.tcp_timestamps", "1") // the peer decides, not the setting
			s.waitUntilReusable()
			s.expectHeadroom(connectTo(server), 0)
		}},
		{"TIME_WAIT over loopback is reused when tcp_tw_reuse is 2", func(s *scenario) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "2")
			s.makePairs(60, s.Listen("127.0.0.1:80"), loopback, server, testnet.Pair.EnterTimeWait)
			s.makePairs(60, s.Listen("[::1]:80"), addrPort("[::1]:0"), addrPort("[::1]:80"), testnet.Pair.EnterTimeWait)
			s.waitUntilReusable()
			s.expectHeadroom(connectTo(server), 100)
			s.expectHeadroom(connectTo(addrPort("[::1]:80")), 100)
		}},
		{"TIME_WAIT over veth is not reused when tcp_tw_reuse is 2", func(s *scenario) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "2")
			other := newScenario(s.t, nil)
			s.ConnectVeth(other.Netns, "10.9.0.1/24", "10.9.0.2/24")
			s.makePairs(100, other.Listen("10.9.0.2:80"), addrPort("10.9.0.1:0"), addrPort("10.9.0.2:80"), testnet.Pair.EnterTimeWait)
			s.waitUntilReusable()
			s.expectHeadroom(connectFrom(addrPort("10.9.0.1:0"), addrPort("10.9.0.2:80")), 0)
			s.expectHeadroomIfAllReused(connectFrom(addrPort("10.9.0.1:0"), addrPort("10.9.0.2:80")), 100)
		}},
		{"some TIME_WAIT sockets would be reused if tcp_tw_reuse were 1", func(s *scenario) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "0")
			l := s.Listen("127.0.0.1:80")
			s.makePairs(30, l, loopback, server, testnet.Pair.EnterCloseWait)
			s.makePairs(20, l, loopback, server, testnet.Pair.EnterTimeWait)
			s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
			s.makePairs(10, l, loopback, server, testnet.Pair.EnterTimeWait)
			s.WriteSysctl("net.ipv4.tcp_timestamps", "1")
			s.waitUntilReusable()
			s.expectHeadroomIfAllReused(connectTo(server), 60)
		}},
		{"TIME_WAIT of bind-before-connect blocks every destination, whatever tcp_tw_reuse", func(s *scenario) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
			l := s.Listen("0.0.0.0:80")
			var made []testnet.Pair
			for range 100 {
				p, err := s.DialBound(l, wildcard, server)
				if err != nil {
					s.t.Fatal(err)
				}
				made = append(made, p)
			}
			s.endPairs(made, testnet.Pair.EnterTimeWait)
			s.waitUntilReusable()
			s.expectHeadroom(connectTo(server), 0)
			s.expectHeadroom(connectTo(elsewhere), 0)
		}},
		{"of the closing states only TIME_WAIT is reused", func(s *scenario) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
			l := s.Listen("127.0.0.1:80")
			var made []testnet.Pair
			for range 60 {
				made = append(made, s.Dial(l, loopback, server))
			}
			s.endPairs(made[:20], testnet.Pair.EnterCloseWait)
			s.endPairs(made[20:40], testnet.Pair.EnterFinWait2)
			s.endPairs(made[40:], testnet.Pair.EnterTimeWait)
			s.waitUntilReusable()
			s.expectStates(tcpstate.Counts{tcpstate.CloseWait: 40, tcpstate.FinWait2: 40, tcpstate.TimeWait: 20, tcpstate.Listen: 1})
			s.expectHeadroom(connectTo(server), 60)
		}},
		{"UDP has one pool for bind(0) and connect(), separate from TCP's", func(s *scenario) {
			s.openConnections(100, loopback, server)
			for range 30 {
				if _, err := s.BindUDP(wildcard); err != nil {
					s.t.Fatal(err)
				}
				if _, err := s.ConnectUDP(loopback, addrPort("127.0.0.1:53")); err != nil {
					s.t.Fatal(err)
				}
			}
			s.expectHeadroom(bindUDP, 40)
			got, err := s.ExhaustConnectUDP(addrPort("127.0.0.1:53"))
			if got != 40 || err != nil {
				s.t.Errorf("connect() of UDP sockets gives %d ports (%v), want 40", got, err)
			}
		}},
		{"a socket's own range applies only inside of the namespace's", func(s *scenario) {
			s.openConnections(10, loopback, server)
			inside, err := s.Namespace.Exhaust(loopback, server, testnet.LocalPortRange(ports.Range{First: 40090, Last: 40099}))
			if errors.Is(err, unix.ENOPROTOOPT) {
				s.t.Skip("this kernel has no IP_LOCAL_PORT_RANGE (Linux 6.3)")
			}
			outside, err2 := s.Namespace.Exhaust(loopback, server, testnet.LocalPortRange(ports.Range{First: 50000, Last: 50009}))
			if inside > 10 || outside != 90 || err != nil || err2 != nil {
				s.t.Errorf("%d ports in a range inside (%v), %d in one outside (%v), want at most 10 and 90", inside, err, outside, err2)
			}
			s.expectHeadroom(connectTo(server), 90)
		}},
		{"a range with an odd number of ports is counted conservatively", func(s *scenario) {
			s.WriteSysctl("net.ipv4.ip_local_port_range", "40000 40098")
			sample := s.takeSample(s.readers["portwalk"])
			got := reportedHeadroom(findNetwork(s.t, &sample, s.Inode()), connectTo(server))
			if truth := s.measureHeadroom(connectTo(server)); got != 98 || truth < 98 || truth > 99 {
				s.t.Errorf("reported %d, the kernel gives %d; want 98, and 98 or 99", got, truth)
			}
		}},
		{"bound-only sockets are counted as bound", func(s *scenario) {
			s.openBound(7, wildcard)
			s.openConnections(3, loopback, server)
			s.expectStates(tcpstate.Counts{tcpstate.Bound: 7, tcpstate.Established: 3})
		}},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(newScenario(t, rs)) })
	}
}

// connect() first tries ports of the parity of the range's first port, and bind(0) those
// of the other parity, so they don't compete before half of the range is in use.
func TestParityOfAutomaticPorts(t *testing.T) {
	s := newScenario(t, nil)
	for range 50 {
		c, err := s.Connect(loopback, server, testnet.Repair)
		if err != nil {
			t.Fatal(err)
		}
		if c.LocalAddr().Port()%2 != 0 {
			t.Errorf("connect() chose the odd port %d", c.LocalAddr().Port())
		}
	}
	for range 50 {
		b, err := s.Bind(wildcard)
		if err != nil {
			t.Fatal(err)
		}
		if b.LocalAddr().Port()%2 != 1 {
			t.Errorf("bind(0) chose the even port %d", b.LocalAddr().Port())
		}
	}
}
