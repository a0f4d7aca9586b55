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
	rs := readers(t)
	for _, c := range []struct {
		name string
		run  func(*scene)
	}{
		{"an unused namespace has the whole range", func(s *scene) {
			s.expect(connectTo(server), 100)
			s.expect(bindAny, 100)
			s.expect(bindUDP, 100)
		}},
		{"connects to one destination end at the range's length", func(s *scene) {
			s.connect(30, home, server)
			s.expect(connectTo(server), 70)
			s.connect(70, home, server)
			s.expect(connectTo(server), 0)
		}},
		{"another address, port or source has a pool of its own, over the same ports", func(s *scene) {
			s.connect(100, home, server)
			s.connect(100, home, elsewhere)
			s.connect(60, home, ap("127.0.0.1:81"))
			s.connect(50, ap("127.0.0.9:0"), server)
			s.expect(connectTo(elsewhere), 0)
			s.expect(connectTo(ap("127.0.0.1:81")), 40)
			s.expect(connectFrom(ap("127.0.0.9:0"), server), 50)
			s.expect(connectTo(ap("127.0.0.3:80")), 100)
			s.expect(bindAny, 0)
		}},
		{"IP_BIND_ADDRESS_NO_PORT shares ports between destinations", func(s *scene) {
			s.connect(100, ap("127.0.0.1:0"), server, testnet.NoPort)
			s.expect(connectTo(elsewhere), 100)
			s.connect(100, ap("127.0.0.1:0"), elsewhere, testnet.NoPort)
			s.expect(connectTo(elsewhere), 0)
		}},
		{"bind-before-connect shares one pool for all destinations", func(s *scene) {
			if got := s.bindConnect(60, wildcard, server); got != 60 {
				s.t.Fatalf("%d connections to the first destination, want 60", got)
			}
			s.expect(connectTo(elsewhere), 40)
			if got := s.bindConnect(60, wildcard, elsewhere); got != 40 {
				s.t.Errorf("%d connections to the second destination, want 40", got)
			}
			s.expect(bindAny, 0)
			s.expect(connectTo(ap("127.0.0.3:80")), 0)
		}},
		{"binds to two addresses leave none for the wildcard address", func(s *scene) {
			s.bind(100, ap("127.0.0.1:0"))
			s.bind(100, ap("127.0.0.9:0"))
			s.expect(bindAny, 0)
			s.expect(connectTo(server), 0)
		}},
		{"SO_REUSEPORT alone does not stretch bind(0)", func(s *scene) {
			s.bind(100, wildcard, testnet.ReusePort)
			s.expect(bindAny, 0)
		}},
		{"SO_REUSEADDR does not stretch bind(0) while ip_autobind_reuse is 0", func(s *scene) {
			s.bind(100, wildcard, testnet.ReuseAddr)
			s.expect(bindAny, 0)
		}},
		{"SO_REUSEADDR with ip_autobind_reuse has no end, and other binds do", func(s *scene) {
			s.WriteSysctl("net.ipv4.ip_autobind_reuse", "1")
			s.bind(300, wildcard, testnet.ReuseAddr)
			s.agree(bindAny)
			s.agree(connectTo(server))
		}},
		{"ports of connects are held for bind(0)", func(s *scene) {
			s.connect(40, home, server)
			s.expect(bindAny, 60)
		}},
		{"listeners in the range take their port from every destination", func(s *scene) {
			for port := range 10 {
				s.Listen(fmt.Sprintf("127.0.0.1:%d", 40020+port))
			}
			s.Listen("127.0.0.7:40050")
			s.expect(connectTo(server), 89)
			s.expect(connectTo(elsewhere), 89)
			s.connect(89, home, server)
			s.expect(connectTo(server), 0)
		}},
		{"the lowest listening ports of the range are named", func(s *scene) {
			// All over the range, since the kernel's table begins anywhere in it.
			s.WriteSysctl("net.ipv4.ip_local_port_range", "5000 64999")
			s.WriteSysctl("net.ipv4.ip_local_reserved_ports", "15000")
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
		{"reserved ports are taken from both kinds of pool", func(s *scene) {
			s.WriteSysctl("net.ipv4.ip_local_reserved_ports", "1-5,39990-40050,60000")
			s.expect(connectTo(server), 49)
			s.expect(bindAny, 49)
			s.connect(20, home, server)
			s.expect(connectTo(server), 29)
			s.expect(bindAny, 29)
			s.expect(bindUDP, 49)
		}},
		{"a reserved port that is bound anyway is not counted twice", func(s *scene) {
			s.WriteSysctl("net.ipv4.ip_local_reserved_ports", "40000-40009")
			s.bind(1, ap("127.0.0.1:40005"))
			s.expect(connectTo(server), 90)
			s.expect(bindAny, 90)
		}},
		{"IPv6 has pools of its own for connect(), and shares those of bind(0)", func(s *scene) {
			s.connect(100, home, server)
			s.expect(connectTo(ap("[::1]:80")), 100)
			s.connect(60, ap("[::1]:0"), ap("[::1]:80"))
			s.expect(connectTo(ap("[::1]:80")), 40)
			s.expect(bindAny, 0)
		}},
		{"IPv4-mapped IPv6 shares the IPv4 pools", func(s *scene) {
			s.connect(30, home, server)
			s.connect(30, ap("[::ffff:127.0.0.1]:0"), ap("[::ffff:127.0.0.1]:80"))
			s.expect(connectTo(server), 40)
			s.expect(connectFrom(ap("[::ffff:127.0.0.1]:0"), ap("[::ffff:127.0.0.1]:80")), 40)
		}},
		{"TIME_WAIT is not reused while tcp_tw_reuse is 0", func(s *scene) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "0")
			s.pairs(100, s.Listen("127.0.0.1:80"), home, server, testnet.Pair.EnterTimeWait)
			s.age()
			s.expect(connectTo(server), 0)
			s.ifAll(connectTo(server), 100)
		}},
		{"TIME_WAIT is reused after a delay when tcp_tw_reuse is 1", func(s *scene) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
			s.pairs(100, s.Listen("127.0.0.1:80"), home, server, testnet.Pair.EnterTimeWait)
			s.age()
			s.states(tcpstate.Counts{tcpstate.TimeWait: 100, tcpstate.Listen: 1})
			s.expect(connectTo(server), 100)
		}},
		{"TIME_WAIT is not reused before the delay", func(s *scene) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
			if err := s.Namespace.WriteSysctl("net.ipv4.tcp_tw_reuse_delay", "60000"); err != nil {
				s.t.Skipf("this kernel has no tcp_tw_reuse_delay (Linux 6.14): %v", err)
			}
			s.pairs(100, s.Listen("127.0.0.1:80"), home, server, testnet.Pair.EnterTimeWait)
			s.expect(connectTo(server), 0)
		}},
		{"TIME_WAIT of a peer without timestamps is not reused", func(s *scene) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
			s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
			s.pairs(100, s.Listen("127.0.0.1:80"), home, server, testnet.Pair.EnterTimeWait)
			s.WriteSysctl("net.ipv4.tcp_timestamps", "1") // the peer's word counts, not the setting's
			s.age()
			s.expect(connectTo(server), 0)
		}},
		{"TIME_WAIT over loopback is reused when tcp_tw_reuse is 2", func(s *scene) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "2")
			s.pairs(60, s.Listen("127.0.0.1:80"), home, server, testnet.Pair.EnterTimeWait)
			s.pairs(60, s.Listen("[::1]:80"), ap("[::1]:0"), ap("[::1]:80"), testnet.Pair.EnterTimeWait)
			s.age()
			s.expect(connectTo(server), 100)
			s.expect(connectTo(ap("[::1]:80")), 100)
		}},
		{"TIME_WAIT over veth is not reused when tcp_tw_reuse is 2", func(s *scene) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "2")
			other := newScene(s.t, nil)
			s.ConnectVeth(other.Netns, "10.9.0.1/24", "10.9.0.2/24")
			s.pairs(100, other.Listen("10.9.0.2:80"), ap("10.9.0.1:0"), ap("10.9.0.2:80"), testnet.Pair.EnterTimeWait)
			s.age()
			s.expect(connectFrom(ap("10.9.0.1:0"), ap("10.9.0.2:80")), 0)
			s.ifAll(connectFrom(ap("10.9.0.1:0"), ap("10.9.0.2:80")), 100)
		}},
		{"of TIME_WAIT some would be reused if tcp_tw_reuse were 1", func(s *scene) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "0")
			l := s.Listen("127.0.0.1:80")
			s.pairs(30, l, home, server, testnet.Pair.EnterCloseWait)
			s.pairs(20, l, home, server, testnet.Pair.EnterTimeWait)
			s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
			s.pairs(10, l, home, server, testnet.Pair.EnterTimeWait)
			s.WriteSysctl("net.ipv4.tcp_timestamps", "1")
			s.age()
			s.ifAll(connectTo(server), 60)
		}},
		{"TIME_WAIT of bind-before-connect blocks every destination, whatever tcp_tw_reuse", func(s *scene) {
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
			s.end(made, testnet.Pair.EnterTimeWait)
			s.age()
			s.expect(connectTo(server), 0)
			s.expect(connectTo(elsewhere), 0)
		}},
		{"of the closing states only TIME_WAIT is reused", func(s *scene) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
			l := s.Listen("127.0.0.1:80")
			var made []testnet.Pair
			for range 60 {
				made = append(made, s.Dial(l, home, server))
			}
			s.end(made[:20], testnet.Pair.EnterCloseWait)
			s.end(made[20:40], testnet.Pair.EnterFinWait2)
			s.end(made[40:], testnet.Pair.EnterTimeWait)
			s.age()
			s.states(tcpstate.Counts{tcpstate.CloseWait: 40, tcpstate.FinWait2: 40, tcpstate.TimeWait: 20, tcpstate.Listen: 1})
			s.expect(connectTo(server), 60)
		}},
		{"UDP has one pool for bind(0) and for connect(), apart from TCP's", func(s *scene) {
			s.connect(100, home, server)
			for range 30 {
				if _, err := s.BindUDP(wildcard); err != nil {
					s.t.Fatal(err)
				}
				if _, err := s.ConnectUDP(home, ap("127.0.0.1:53")); err != nil {
					s.t.Fatal(err)
				}
			}
			s.expect(bindUDP, 40)
			got, err := s.ExhaustConnectUDP(ap("127.0.0.1:53"))
			if got != 40 || err != nil {
				s.t.Errorf("connect() of UDP sockets gives %d ports (%v), want 40", got, err)
			}
		}},
		{"a socket's own range narrows, and is ignored outside of the namespace's", func(s *scene) {
			s.connect(10, home, server)
			inside, err := s.Namespace.Exhaust(home, server, testnet.LocalPortRange(ports.Range{First: 40090, Last: 40099}))
			if errors.Is(err, unix.ENOPROTOOPT) {
				s.t.Skip("this kernel has no IP_LOCAL_PORT_RANGE (Linux 6.3)")
			}
			outside, err2 := s.Namespace.Exhaust(home, server, testnet.LocalPortRange(ports.Range{First: 50000, Last: 50009}))
			if inside > 10 || outside != 90 || err != nil || err2 != nil {
				s.t.Errorf("%d ports in a range inside (%v), %d in one outside (%v), want at most 10 and 90", inside, err, outside, err2)
			}
			s.expect(connectTo(server), 90)
		}},
		{"an odd range is counted for certainty", func(s *scene) {
			s.WriteSysctl("net.ipv4.ip_local_port_range", "40000 40098")
			sample := s.sample(s.readers["portwalk"])
			got := headroom(network(s.t, &sample, s.Inode()), connectTo(server))
			if truth := s.truth(connectTo(server)); got != 98 || truth < 98 || truth > 99 {
				s.t.Errorf("reported %d, the kernel gives %d; want 98, and 98 or 99", got, truth)
			}
		}},
		{"sockets that only bind are counted as bound", func(s *scene) {
			s.bind(7, wildcard)
			s.connect(3, home, server)
			s.states(tcpstate.Counts{tcpstate.Bound: 7, tcpstate.Established: 3})
		}},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(newScene(t, rs)) })
	}
}

// connect() tries the range's first parity first and bind(0) the other one, so
// that they don't meet before half of the range is gone.
func TestParityOfAutomaticPorts(t *testing.T) {
	s := newScene(t, nil)
	for range 50 {
		c, err := s.Connect(home, server, testnet.Repair)
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
