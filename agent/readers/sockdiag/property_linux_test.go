package sockdiag_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

var (
	seed      = flag.Uint64("seed", 1, "seed of the first random scenario")
	scenarios = flag.Int("scenarios", 40, "number of random scenarios")
)

// randomScenario is a namespace with 100 ports and random sockets.
type randomScenario struct {
	*testNetns
	*rand.Rand
	servers []*testnet.Socket
	pairs   []testnet.Pair
	log     []string
	// hiddenPorts is the number of ports in use that a dump may not show: those of
	// sockets that were bound before they connected, or bound and closed, and before
	// Linux 6.8 those of bound-only sockets.
	hiddenPorts int
	// reusesAtAnyAge is set on kernels without tcp_tw_reuse_delay (before Linux 6.14).
	reusesAtAnyAge bool
}

var destinations = []netip.AddrPort{
	netip.MustParseAddrPort("127.0.0.1:80"), netip.MustParseAddrPort("127.0.0.2:80"),
	netip.MustParseAddrPort("127.0.0.1:81"), netip.MustParseAddrPort("[::1]:80"),
	netip.MustParseAddrPort("[::ffff:127.0.0.1]:80"),
}

// sources are the addresses that connect() chooses for the destinations.
var sources = []string{"127.0.0.1", "127.0.0.1", "127.0.0.1", "::1", "127.0.0.1"}

// TestHeadroomIsNeverBelowTheTruth compares the reported headroom of random namespaces
// with the number of ports that connect() and bind() then get.
func TestHeadroomIsNeverBelowTheTruth(t *testing.T) {
	exact, total := 0, 0
	for i := range *scenarios {
		t.Run(fmt.Sprint("seed ", *seed+uint64(i)), func(t *testing.T) {
			s := randomScenario{testNetns: newTestNetns(t), Rand: rand.New(rand.NewPCG(*seed+uint64(i), 0))}
			s.addSockets()
			n := s.readNetwork(0)
			compare := func(what string, got, truth, loose int) {
				total++
				if got == truth {
					exact++
				}
				if got < truth || got > truth+s.hiddenPorts+loose {
					t.Errorf("%s has %d ports left; reported %d, with %d hidden\n%v\n%+v",
						what, truth, got, s.hiddenPorts, s.log, n)
				}
			}
			// 0.0.0.0 alone would not conflict with sockets of IPv6 addresses.
			compare("bind", calculateBindHeadroom(n), s.ExhaustBind(netip.IPv6Unspecified()), 0)
			for d, dst := range destinations[:4] { // the last equals the first, as an IPv4-mapped address
				loose := 0
				if s.reusesAtAnyAge { // every TIME_WAIT counts as reusable
					loose = int(n.States[tcpstate.TimeWait])
				}
				compare("connect to "+dst.String(), calculateConnectHeadroom(n, netip.MustParseAddr(sources[d]), dst), s.Exhaust(noAddress, dst), loose)
			}
		})
	}
	t.Logf("%d of %d headrooms are exact", exact, total)
}

func (s *randomScenario) addSockets() {
	reuse := s.IntN(3)
	s.WriteSysctl("net.ipv4.tcp_tw_reuse", fmt.Sprint(reuse))
	s.reusesAtAnyAge = s.Namespace.WriteSysctl("net.ipv4.tcp_tw_reuse_delay", "1") != nil
	if s.IntN(4) == 0 {
		s.WriteSysctl("net.ipv4.ip_local_reserved_ports", "40010-40019,40021")
	}
	for _, at := range []string{"0.0.0.0:80", "0.0.0.0:81", "[::1]:80"} {
		s.servers = append(s.servers, s.Listen(at))
	}
	s.log = append(s.log, fmt.Sprint("reuse ", reuse))
	kinds := 8 + 2*s.IntN(2) // half of the namespaces have no hidden ports
	for range 20 + s.IntN(60) {
		s.addSocket(s.IntN(kinds))
	}
}

func (s *randomScenario) addSocket(what int) {
	switch what {
	case 0, 1, 2, 3:
		s.addConnection(false)
	case 4:
		s.addConnection(false, testnet.NoPort)
	case 5, 6:
		s.endConnection()
	case 7:
		s.addBound(true)
	case 8:
		s.addConnection(true)
	default:
		s.addBound(false)
	}
}

// addConnection connects to a random destination, optionally after an explicit bind().
func (s *randomScenario) addConnection(bound bool, opts ...testnet.Option) {
	d := s.IntN(len(destinations))
	dst, l := destinations[d], s.servers[[]int{0, 0, 1, 2, 0}[d]]
	dial, src := s.Namespace.Dial, noAddress
	if bound || len(opts) > 0 {
		dial = s.DialBound
		src = netip.AddrPortFrom(netip.MustParseAddr(sources[d]), 0)
		if dst.Addr().Is4In6() {
			src = netip.MustParseAddrPort("[::ffff:127.0.0.1]:0")
		}
	}
	p, err := dial(l, src, dst, opts...)
	s.log = append(s.log, fmt.Sprintf("connect %v bound %v %v: %v", dst, bound, opts, err))
	if err != nil {
		return
	}
	s.pairs = append(s.pairs, p)
	if bound {
		s.hiddenPorts++
	}
}

// endConnection ends a random connection in a random way.
func (s *randomScenario) endConnection() {
	if len(s.pairs) == 0 {
		return
	}
	i := s.IntN(len(s.pairs))
	p := s.pairs[i]
	s.pairs = append(s.pairs[:i], s.pairs[i+1:]...)
	how := s.IntN(5)
	end := []func(testnet.Pair) error{testnet.Pair.EnterTimeWait, testnet.Pair.EnterCloseWait, testnet.Pair.EnterFinWait2, testnet.Pair.Close,
		func(p testnet.Pair) error { return p.Swap().EnterTimeWait() }}[how]
	s.log = append(s.log, fmt.Sprintf("end %v in way %d", p.Client.LocalAddr(), how))
	if err := end(p); err != nil {
		s.t.Fatal(err)
	}
}

// addBound binds explicitly to a port of the range, often to that of a connection, and
// optionally listens.
func (s *randomScenario) addBound(listen bool) {
	port := uint16(40000 + s.IntN(100))
	if len(s.pairs) > 0 && s.IntN(2) == 0 {
		port = s.pairs[s.IntN(len(s.pairs))].Client.LocalAddr().Port()
	}
	at := netip.AddrPortFrom([]netip.Addr{netip.MustParseAddr("127.0.0.5"), netip.MustParseAddr("0.0.0.0")}[s.IntN(2)], port)
	opts := [][]testnet.Option{nil, {testnet.ReuseAddr}, {testnet.ReusePort}}[s.IntN(3)]
	open := s.Bind
	if listen {
		open = s.Namespace.Listen
	}
	k, err := open(at, opts...)
	s.log = append(s.log, fmt.Sprintf("bind %v listen %v %v: %v", at, listen, opts, err))
	if err != nil {
		return
	}
	if !listen {
		s.hiddenPorts++
	} else if s.IntN(3) == 0 {
		s.hiddenPorts++
		s.log = append(s.log, "close it")
		if err := k.Close(); err != nil {
			s.t.Fatal(err)
		}
	}
}
