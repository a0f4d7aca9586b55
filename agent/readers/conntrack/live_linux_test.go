package conntrack

import (
	"net/netip"
	"testing"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

// masqueradeTo100Ports is a rule that gives the router 100 ports.
const masqueradeTo100Ports = "masquerade to :40000-40099"

// newTCPPool returns a pool of connections in one state.
func newTCPPool(source, destination netip.Addr, port uint16, ports, capacity int, state tcpstate.State) socket.SNATPool {
	p := socket.SNATPool{
		Destination: socket.Destination{Source: source, Address: destination, Port: port},
		InUse:       ports, Capacity: capacity,
	}
	p.States[state] = uint32(ports)
	return p
}

// The kernel uses exactly the ports that the pool has left, and then drops packets.
func TestAPoolIsFullWhenTheKernelDropsPackets(t *testing.T) {
	for name, family := range map[string]struct{ source, server netip.Addr }{
		"IPv4": {translated, serverAt},
		"IPv6": {translated6, serverAt6},
	} {
		t.Run(name, func(t *testing.T) {
			s := newNATScenario(t, masqueradeTo100Ports)
			first, second := netip.AddrPortFrom(family.server, 80), netip.AddrPortFrom(family.server, 81)
			l, l2 := s.server.Listen(first.String()), s.server.Listen(second.String())
			for range 100 {
				s.dialThroughRouter(l, first)
			}
			for range 30 { // the other destination has its own pool of the same ports
				s.dialThroughRouter(l2, second)
			}
			if n := s.readInsertFailed(); n != 0 {
				t.Fatalf("%d connections lost before the pool is full", n)
			}
			s.failToConnect(first)
			want := []socket.SNATPool{
				newTCPPool(family.source, family.server, 80, 100, 100, tcpstate.Established),
				newTCPPool(family.source, family.server, 81, 30, allPorts, tcpstate.Established),
			}
			if d := diffAddresses(want, s.listPools(true, true)); d != "" {
				t.Errorf("while connections fail (-want +got):\n%s", d)
			}
			want[0].Capacity = allPorts // the rule is not visible
			if d := diffAddresses(want, s.listPools(true, false)); d != "" {
				t.Errorf("while none fails (-want +got):\n%s", d)
			}
		})
	}
}

// From Linux 6.5 on, the ports of connections that have ended are reused.
func TestPortsOfEndedConnectionsAreFreeIfTheKernelReusesThem(t *testing.T) {
	evicts, err := checkKernelEviction()
	if err != nil {
		t.Fatal(err)
	}
	s := newNATScenario(t, masqueradeTo100Ports)
	to := netip.AddrPortFrom(serverAt, 80)
	l := s.server.Listen(to.String())
	var pairs []testnet.Pair
	for range 100 {
		pairs = append(pairs, s.dialThroughRouter(l, to))
	}
	for _, p := range pairs { // only now, because an ended one is soon reused
		if err := p.EnterTimeWait(); err != nil {
			t.Fatal(err)
		}
	}
	want := newTCPPool(translated, serverAt, 80, 100, allPorts, tcpstate.TimeWait)
	if evicts {
		want.Reusable = 100
	}
	got := s.listPools(evicts, false)
	if d := diffAddresses([]socket.SNATPool{want}, got); d != "" {
		t.Fatalf("(-want +got):\n%s", d)
	}
	if !evicts {
		s.failToConnect(to)
		return
	}
	for range 10 {
		s.dialThroughRouter(l, to)
	}
	want.States, want.Reusable = tcpstate.Counts{tcpstate.TimeWait: 90, tcpstate.Established: 10}, 90
	if d := diffAddresses([]socket.SNATPool{want}, s.listPools(evicts, false)); d != "" || s.readInsertFailed() != 0 {
		t.Errorf("%d lost; (-want +got):\n%s", s.readInsertFailed(), d)
	}
}

func TestUDPHasItsOwnPools(t *testing.T) {
	s := newNATScenario(t, masqueradeTo100Ports)
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
	s.waitUntil("the router has translated 40 packets", func() bool {
		pools := s.listPools(true, false)
		return len(pools) == 1 && pools[0].InUse == 40
	})
	want := []socket.SNATPool{{
		Destination: socket.Destination{Source: translated, Address: serverAt, Port: 53},
		Protocol:    socket.UDP, InUse: 40, Capacity: allPorts,
	}}
	if d := diffAddresses(want, s.listPools(true, false)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestConnectionsWithoutTranslationHaveNoPool(t *testing.T) {
	s := newNATScenario(t, masqueradeTo100Ports)
	l := s.router.Listen("10.0.0.1:80")
	s.client.Dial(l, netip.AddrPort{}, netip.MustParseAddrPort("10.0.0.1:80"))
	if got := s.listPools(true, false); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
