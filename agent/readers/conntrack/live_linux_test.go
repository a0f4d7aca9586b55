package conntrack

import (
	"net/netip"
	"testing"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

// hundred leaves the router 100 ports.
const hundred = "masquerade to :40000-40099"

// tcpPool is a pool of connections in one state.
func tcpPool(source, destination netip.Addr, port uint16, ports, capacity int, state tcpstate.State) socket.SNATPool {
	p := socket.SNATPool{
		Destination: socket.Destination{Source: source, Address: destination, Port: port},
		Ports:       ports, Capacity: capacity,
	}
	p.States[state] = uint32(ports)
	return p
}

// The kernel gives exactly what the pool had left, and then drops.
func TestAPoolIsFullWhenTheKernelSaysSo(t *testing.T) {
	for name, family := range map[string]struct{ source, server netip.Addr }{
		"IPv4": {translated, serverAt},
		"IPv6": {translated6, serverAt6},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, hundred)
			first, second := netip.AddrPortFrom(family.server, 80), netip.AddrPortFrom(family.server, 81)
			l, l2 := s.server.Listen(first.String()), s.server.Listen(second.String())
			for range 100 {
				s.dial(l, first)
			}
			for range 30 { // the other destination has the same ports once more
				s.dial(l2, second)
			}
			if n := s.insertFailed(); n != 0 {
				t.Fatalf("%d connections lost before the pool is full", n)
			}
			s.fails(first)
			want := []socket.SNATPool{
				tcpPool(family.source, family.server, 80, 100, 100, tcpstate.Established),
				tcpPool(family.source, family.server, 81, 30, allPorts, tcpstate.Established),
			}
			if d := diff(want, s.pools(true, true)); d != "" {
				t.Errorf("while connections fail (-want +got):\n%s", d)
			}
			want[0].Capacity = allPorts // the rule can't be seen
			if d := diff(want, s.pools(true, false)); d != "" {
				t.Errorf("while none fails (-want +got):\n%s", d)
			}
		})
	}
}

// From Linux 6.5 on, the ports of connections that have ended are taken over.
func TestPortsOfEndedConnectionsAreLeftWhereTheKernelTakesThemOver(t *testing.T) {
	evicts, err := kernelEvicts()
	if err != nil {
		t.Fatal(err)
	}
	s := newScene(t, hundred)
	to := netip.AddrPortFrom(serverAt, 80)
	l := s.server.Listen(to.String())
	var pairs []testnet.Pair
	for range 100 {
		pairs = append(pairs, s.dial(l, to))
	}
	for _, p := range pairs { // only now: one that has ended is soon taken over
		if err := p.EnterTimeWait(); err != nil {
			t.Fatal(err)
		}
	}
	want := tcpPool(translated, serverAt, 80, 100, allPorts, tcpstate.TimeWait)
	if evicts {
		want.Reusable = 100
	}
	got := s.pools(evicts, false)
	if d := diff([]socket.SNATPool{want}, got); d != "" {
		t.Fatalf("(-want +got):\n%s", d)
	}
	if !evicts {
		s.fails(to)
		return
	}
	for range 10 {
		s.dial(l, to)
	}
	want.States, want.Reusable = tcpstate.Counts{tcpstate.TimeWait: 90, tcpstate.Established: 10}, 90
	if d := diff([]socket.SNATPool{want}, s.pools(evicts, false)); d != "" || s.insertFailed() != 0 {
		t.Errorf("%d lost; (-want +got):\n%s", s.insertFailed(), d)
	}
}

func TestUDPHasPoolsOfItsOwn(t *testing.T) {
	s := newScene(t, hundred)
	to := netip.AddrPortFrom(serverAt, 53)
	if _, err := s.server.BindUDP(to); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		k, err := s.client.ConnectUDP(netip.AddrPort{}, to)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Send([]byte("?")); err != nil {
			t.Fatal(err)
		}
	}
	s.await("the router has seen 40 packets", func() bool {
		pools := s.pools(true, false)
		return len(pools) == 1 && pools[0].Ports == 40
	})
	want := []socket.SNATPool{{
		Destination: socket.Destination{Source: translated, Address: serverAt, Port: 53},
		Protocol:    socket.UDP, Ports: 40, Capacity: allPorts,
	}}
	if d := diff(want, s.pools(true, false)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestConnectionsThatKeepTheirSourceAreNoPool(t *testing.T) {
	s := newScene(t, hundred)
	l := s.router.Listen("10.0.0.1:80")
	s.client.Dial(l, netip.AddrPort{}, netip.MustParseAddrPort("10.0.0.1:80"))
	if got := s.pools(true, false); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
