package socket

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

var (
	hundredPorts = Settings{Range: ports.Range{First: 40000, Last: 40099}}
	loopback     = netip.MustParseAddr("127.0.0.1")
	db           = netip.MustParseAddr("10.0.0.9")
)

// figures has the fields of a Pool that a test compares.
type figures struct {
	Pool           string
	Used, Capacity int32
	Headroom       int
	Percent        int
	Advisory       bool
}

func newFigures(p Pool) figures {
	name := p.Protocol.String() + " " + p.Kind.String()
	if d := p.Destination; d != nil {
		name += " " + netip.AddrPortFrom(d.Address, d.Port).String()
	}
	return figures{name, p.Used, p.Capacity, p.Headroom(), p.UsedPercent(), p.Advisory}
}

func newDestination(addr netip.Addr, port uint16, states tcpstate.Counts, reusable uint32) Destination {
	return Destination{Source: loopback, Address: addr, Port: port, States: states, Reusable: reusable}
}

// The numbers come from experiments on a live kernel, each with a range
// of 100 ports.
func TestPools(t *testing.T) {
	tests := map[string]struct {
		network Network
		want    []figures
	}{
		"An idle network has three pools without a destination, all free": {
			Network{Settings: hundredPorts},
			[]figures{
				{"TCP Connect", 0, 100, 100, 0, false},
				{"UDP Bind", 0, 100, 100, 0, false},
				{"TCP Bind", 0, 100, 100, 0, true},
			},
		},
		"SNAT has its own pools, independent of the range and without reusable ports": {
			Network{Settings: hundredPorts, InUse: 30, Destinations: []Destination{
				newDestination(db, 80, tcpstate.Counts{tcpstate.Established: 30}, 0),
			}, SNAT: []SNATPool{
				{Destination: newDestination(db, 80, tcpstate.Counts{tcpstate.Established: 40000, tcpstate.TimeWait: 10000}, 10000), InUse: 50000, Capacity: 64512},
				{Destination: newDestination(db, 53, tcpstate.Counts{}, 0), Protocol: UDP, InUse: 100, Capacity: 100},
			}},
			[]figures{
				{"UDP SNAT 10.0.0.9:53", 100, 100, 0, 100, false},
				{"TCP SNAT 10.0.0.9:80", 40000, 64512, 24512, 62, false},
				{"TCP Connect 10.0.0.9:80", 30, 100, 70, 30, false},
				{"TCP Connect", 0, 100, 100, 0, false},
				{"UDP Bind", 0, 100, 100, 0, false},
				{"TCP Bind", 30, 100, 70, 30, true},
			},
		},
		"Each destination can use all ports": {
			Network{Settings: hundredPorts, InUse: 100, Destinations: []Destination{
				newDestination(db, 80, tcpstate.Counts{tcpstate.Established: 100}, 0),
				newDestination(db, 81, tcpstate.Counts{tcpstate.Established: 40}, 0),
			}},
			[]figures{
				{"TCP Connect 10.0.0.9:80", 100, 100, 0, 100, false},
				{"TCP Connect 10.0.0.9:81", 40, 100, 60, 40, false},
				{"TCP Connect", 0, 100, 100, 0, false},
				{"UDP Bind", 0, 100, 100, 0, false},
				{"TCP Bind", 100, 100, 0, 100, true},
			},
		},
		"Ports taken by bind(0) are unavailable to every destination": {
			Network{Settings: hundredPorts, InUse: 100, Skipped: 100},
			[]figures{
				{"TCP Connect", 100, 100, 0, 100, false},
				{"TCP Bind", 100, 100, 0, 100, false},
				{"UDP Bind", 0, 100, 100, 0, false},
			},
		},
		"Ports of listeners in the range are unavailable to every destination and don't count as binds": {
			Network{Settings: hundredPorts, InUse: 41, Skipped: 11, SkippedListening: 11, Destinations: []Destination{
				newDestination(db, 80, tcpstate.Counts{tcpstate.Established: 30}, 0),
			}},
			[]figures{
				{"TCP Connect 10.0.0.9:80", 41, 100, 59, 41, false},
				{"TCP Connect", 11, 100, 89, 11, false},
				{"UDP Bind", 0, 100, 100, 0, false},
				{"TCP Bind", 41, 100, 59, 41, true},
			},
		},
		"Reserved ports reduce the capacity": {
			Network{Settings: Settings{Range: hundredPorts.Range, Reserved: 51}},
			[]figures{
				{"TCP Connect", 0, 49, 49, 0, false},
				{"UDP Bind", 0, 49, 49, 0, false},
				{"TCP Bind", 0, 49, 49, 0, true},
			},
		},
		"A completely reserved range is 100 % used, without a division by zero": {
			Network{Settings: Settings{Range: hundredPorts.Range, Reserved: 100}},
			[]figures{
				{"TCP Connect", 0, 0, 0, 100, false},
				{"UDP Bind", 0, 0, 0, 100, false},
				{"TCP Bind", 0, 0, 0, 100, true},
			},
		},
		"Only ports of reusable TIME_WAIT are free": {
			Network{Settings: hundredPorts, InUse: 60, Destinations: []Destination{
				newDestination(db, 80, tcpstate.Counts{tcpstate.CloseWait: 20, tcpstate.FinWait2: 20, tcpstate.TimeWait: 20}, 20),
			}},
			[]figures{
				{"TCP Connect 10.0.0.9:80", 40, 100, 60, 40, false},
				{"TCP Connect", 0, 100, 100, 0, false},
				{"UDP Bind", 0, 100, 100, 0, false},
				{"TCP Bind", 60, 100, 40, 60, true},
			},
		},
		"In an odd range TCP may not reach the last port; UDP does": {
			Network{Settings: Settings{Range: ports.Range{First: 40000, Last: 40098}}, UDPInUse: 98},
			[]figures{
				{"UDP Bind", 98, 99, 1, 98, false},
				{"TCP Connect", 0, 98, 98, 0, false},
				{"TCP Bind", 0, 98, 98, 0, true},
			},
		},
		"On Windows TCP tries every port of an odd range, and UDP has its own range": {
			Network{Settings: Settings{Range: ports.Range{First: 40000, Last: 40098}, Reserved: 9, TriesEveryPort: true, UDP: &UDPSettings{ports.Range{First: 50000, Last: 50299}, 100}}, UDPInUse: 50},
			[]figures{
				{"UDP Bind", 50, 200, 150, 25, false},
				{"TCP Connect", 0, 90, 90, 0, false},
				{"TCP Bind", 0, 90, 90, 0, true},
			},
		},
		"A range of one port has a capacity of one": {
			Network{Settings: Settings{Range: ports.Range{First: 40000, Last: 40000}}},
			[]figures{
				{"TCP Connect", 0, 1, 1, 0, false},
				{"UDP Bind", 0, 1, 1, 0, false},
				{"TCP Bind", 0, 1, 1, 0, true},
			},
		},
		"Headroom is never negative": {
			Network{Settings: Settings{Range: ports.Range{First: 40000, Last: 40098}}, InUse: 99, Skipped: 99, UDPInUse: 99},
			[]figures{
				{"TCP Connect", 99, 98, 0, 100, false},
				{"TCP Bind", 99, 98, 0, 100, false},
				{"UDP Bind", 99, 99, 0, 100, false},
			},
		},
		"Absurd counts don't overflow": {
			Network{Settings: hundredPorts, InUse: 1 << 40, UDPInUse: -1, Destinations: []Destination{
				newDestination(db, 80, tcpstate.Counts{tcpstate.Established: 1<<32 - 1}, 0),
				newDestination(db, 81, tcpstate.Counts{tcpstate.TimeWait: 1}, 1<<32-1),
			}},
			[]figures{
				{"TCP Connect 10.0.0.9:80", 1<<31 - 1, 100, 0, 100, false},
				{"TCP Connect 10.0.0.9:81", 0, 100, 100, 0, false},
				{"TCP Connect", 0, 100, 100, 0, false},
				{"UDP Bind", 0, 100, 100, 0, false},
				{"TCP Bind", 1<<31 - 1, 100, 0, 100, true},
			},
		},
		"If ports of bind() are not known, a pool is evaluated by its maximum": {
			Network{Settings: hundredPorts, InUse: 70, Skipped: 5, SkippedListening: 5, BindUnknown: true, Destinations: []Destination{
				newDestination(db, 80, tcpstate.Counts{tcpstate.Established: 30}, 0),
			}},
			[]figures{
				{"TCP Connect 10.0.0.9:80", 35, 100, 30, 70, false},
				{"TCP Connect", 5, 100, 30, 70, false},
				{"UDP Bind", 0, 100, 100, 0, false},
				{"TCP Bind", 70, 100, 30, 70, true},
			},
		},
		"A sandbox has no pools": {
			Network{Settings: hundredPorts, InUse: 99, Owner: Owner{Kind: OwnerPod, Sandbox: "gVisor"}}, nil,
		},
		"A network without a known range has no pools": {
			Network{InUse: 99}, nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []figures
			for _, p := range SelectTightest(test.network.Pools(), -1) {
				got = append(got, newFigures(p))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPoolDetailDoesNotDescribeSNAT(t *testing.T) {
	n := Network{Inode: 7}
	d := newDestination(db, 80, tcpstate.Counts{}, 0)
	l := PoolDetail{Inode: 7, Source: loopback, Destination: db, Port: 80}
	if !l.Describes(Pool{Network: &n, Destination: &d}) || l.Describes(Pool{Network: &n, Destination: &d, Kind: SNAT}) {
		t.Error("a PoolDetail must describe its Connect pool, and not SNAT to the same destination")
	}
}

func TestUsedPercent(t *testing.T) {
	tests := map[string]struct {
		used, capacity int32
		want           int
	}{
		"Nothing used is 0":             {0, 28232, 0},
		"A little is rounded down":      {282, 28232, 0},
		"Half is 50":                    {14116, 28232, 50},
		"One short of half is 49":       {14115, 28232, 49},
		"One port left is 99":           {28231, 28232, 99},
		"No port left is 100":           {28232, 28232, 100},
		"More than the capacity is 100": {28233, 28232, 100},
		"No capacity is 100":            {0, 0, 100},
		"A wide range doesn't overflow": {64511, 64512, 99},
		"An absurd count is 100":        {1<<31 - 1, 64512, 100},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := (Pool{Used: test.used, Capacity: test.capacity}).UsedPercent(); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestUsedMaxIsAbsentWhereUsedIsCertain(t *testing.T) {
	for _, unknown := range []bool{false, true} {
		n := Network{Settings: hundredPorts, InUse: 70, BindUnknown: unknown}
		for p := range n.Pools() {
			if got, want := p.UsedMax == 70, unknown && p.Protocol == TCP && p.Kind == Connect; got != want {
				t.Errorf("BindUnknown %v: %v has UsedMax %d", unknown, newFigures(p).Pool, p.UsedMax)
			}
		}
	}
}

func TestBindPoolSetsTheLevelOnlyWhereBindsAreInUse(t *testing.T) {
	tests := map[string]struct {
		inUse, skipped, listening int
		want                      bool
	}{
		"Nothing in use":                        {0, 0, 0, false},
		"Only connects":                         {100, 0, 0, false},
		"Only connects, besides listeners":      {100, 30, 30, false},
		"A tenth by bind":                       {100, 10, 0, true},
		"Just under a tenth by bind":            {100, 9, 0, false},
		"A tenth by bind, besides listeners":    {100, 40, 30, true},
		"Everything by bind":                    {5, 5, 0, true},
		"More listeners than skipped (invalid)": {5, 1, 2, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n := Network{InUse: test.inUse, Skipped: test.skipped, SkippedListening: test.listening}
			if got := n.takesPortsByBind(); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestTightestPool(t *testing.T) {
	full := func(inode uint64, ds ...Destination) Network {
		return Network{Inode: inode, Settings: hundredPorts, InUse: 50, Destinations: ds}
	}
	fifty := tcpstate.Counts{tcpstate.Established: 50}
	tests := map[string]struct {
		networks []Network
		want     figures
		inode    uint64
	}{
		"The highest percentage comes first": {
			[]Network{
				full(1, newDestination(db, 1, fifty, 0)),
				{Inode: 2, Settings: hundredPorts, UDPInUse: 51},
			},
			figures{"UDP Bind", 51, 100, 49, 51, false}, 2,
		},
		"A connect pool comes before bind(0) and UDP": {
			[]Network{
				{Inode: 1, Settings: hundredPorts, UDPInUse: 50},
				{Inode: 2, Settings: hundredPorts, InUse: 50, Skipped: 10},
				full(3, newDestination(db, 1, fifty, 0)),
			},
			figures{"TCP Connect 10.0.0.9:1", 50, 100, 50, 50, false}, 3,
		},
		"bind(0) comes before UDP": {
			[]Network{
				{Inode: 1, Settings: hundredPorts, UDPInUse: 50},
				{Inode: 2, Settings: hundredPorts, InUse: 50, Skipped: 10},
			},
			figures{"TCP Bind", 50, 100, 50, 50, false}, 2,
		},
		"A pool with a destination comes before the one without": {
			[]Network{{Settings: hundredPorts, InUse: 100, Skipped: 100, Destinations: []Destination{
				newDestination(db, 1, tcpstate.Counts{}, 0),
			}}},
			figures{"TCP Connect 10.0.0.9:1", 100, 100, 0, 100, false}, 0,
		},
		"At equal percentages the pool with more used ports comes first": {
			[]Network{
				full(1, newDestination(db, 1, fifty, 0)),
				{Inode: 2, Settings: Settings{Range: ports.Range{First: 1024, Last: 65535}}, Destinations: []Destination{
					newDestination(db, 1, tcpstate.Counts{tcpstate.TimeWait: 32300}, 0),
				}},
			},
			figures{"TCP Connect 10.0.0.9:1", 32300, 64512, 32212, 50, false}, 2,
		},
		"Then the lower inode comes first": {
			[]Network{full(9, newDestination(db, 1, fifty, 0)), full(8, newDestination(db, 1, fifty, 0))},
			figures{"TCP Connect 10.0.0.9:1", 50, 100, 50, 50, false}, 8,
		},
		"Then the lower destination comes first": {
			[]Network{full(1, newDestination(db, 2, fifty, 0), newDestination(db, 1, fifty, 0))},
			figures{"TCP Connect 10.0.0.9:1", 50, 100, 50, 50, false}, 1,
		},
		"Addresses are compared before ports": {
			[]Network{full(1, newDestination(db, 1, fifty, 0), newDestination(loopback, 0, fifty, 0))},
			figures{"TCP Connect 10.0.0.9:1", 50, 100, 50, 50, false}, 1,
		},
		"SNAT comes last": {
			[]Network{{Settings: hundredPorts, UDPInUse: 50, SNAT: []SNATPool{
				{Destination: newDestination(db, 1, fifty, 0), InUse: 50, Capacity: 100}}}},
			figures{"UDP Bind", 50, 100, 50, 50, false}, 0,
		},
		"A full bind pool of a proxy that only connects is not the tightest": {
			[]Network{{Settings: hundredPorts, InUse: 100, UDPInUse: 1}},
			figures{"UDP Bind", 1, 100, 99, 1, false}, 0,
		},
		"A sandbox is never the tightest": {
			[]Network{
				{Inode: 1, Settings: hundredPorts, Owner: Owner{Sandbox: "Kata"}, Skipped: 100},
				{Inode: 2, Settings: hundredPorts},
			},
			figures{"TCP Connect", 0, 100, 100, 0, false}, 2,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := Sample{Networks: test.networks}
			got, ok := s.TightestPool()
			if !ok {
				t.Fatal("no tightest pool")
			}
			if diff := cmp.Diff(test.want, newFigures(got)); diff != "" || got.Network.Inode != test.inode {
				t.Errorf("inode %d, want %d; %s", got.Network.Inode, test.inode, diff)
			}
		})
	}
	if _, ok := (&Sample{}).TightestPool(); ok {
		t.Error("a sample without networks has a tightest pool")
	}
}

func TestComparePoolsOrdersSimilarPools(t *testing.T) {
	network := Network{Inode: 7, Cookie: 1, Settings: hundredPorts}
	successor := network
	successor.Cookie = 2
	here, there := newDestination(db, 1, tcpstate.Counts{}, 0), newDestination(db, 1, tcpstate.Counts{}, 0)
	there.Source = db
	tests := map[string]struct{ first, second Pool }{
		"A namespace that reuses an inode comes after its predecessor": {
			Pool{Network: &network}, Pool{Network: &successor},
		},
		"The sources of one destination are ordered": {
			Pool{Network: &network, Destination: &there}, Pool{Network: &network, Destination: &here},
		},
		"UDP comes after TCP in SNAT": {
			Pool{Network: &network, Destination: &here, Kind: SNAT}, Pool{Network: &network, Destination: &here, Kind: SNAT, Protocol: UDP},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if ComparePools(test.first, test.second) >= 0 || ComparePools(test.second, test.first) <= 0 {
				t.Error("not in order")
			}
		})
	}
}

func TestSelectTightestReturnsTheFirstPools(t *testing.T) {
	s := newCrowdedSample(3, 50)
	all := SelectTightest(s.Pools(), -1)
	if !slices.IsSortedFunc(all, ComparePools) || len(all) != 3*53 {
		t.Fatalf("%d pools, sorted %v", len(all), slices.IsSortedFunc(all, ComparePools))
	}
	for _, n := range []int{0, 1, 2, 7, len(all), len(all) + 1} {
		want := all[:min(n, len(all))]
		if got := SelectTightest(s.Pools(), n); !slices.Equal(got, want) {
			t.Errorf("the tightest %d differ from the first %d of all", n, n)
		}
	}
}

func TestPoolsStopWhenTheLoopDoes(t *testing.T) {
	s := newCrowdedSample(2, 2)
	for i := range s.Networks {
		s.Networks[i].SNAT = make([]SNATPool, 2)
	}
	for stop := 1; stop <= 14; stop++ {
		seen := 0
		for range s.Pools() {
			if seen++; seen == stop {
				break
			}
		}
		if seen != stop {
			t.Errorf("%d pools, want a stop at %d", seen, stop)
		}
	}
}

// newCrowdedSample returns networks whose destinations use different numbers of ports.
func newCrowdedSample(networks, destinations int) *Sample {
	s := &Sample{}
	for i := range networks {
		n := Network{Inode: uint64(i), Settings: Settings{Range: ports.Range{First: 32768, Last: 60999}}, InUse: 20000}
		for j := range destinations {
			addr := netip.AddrFrom4([4]byte{10, byte(i), byte(j >> 8), byte(j)})
			n.Destinations = append(n.Destinations, newDestination(addr, 443,
				tcpstate.Counts{tcpstate.Established: uint32(j*7919) % 9000, tcpstate.TimeWait: uint32(j*104729) % 9000}, 0))
		}
		s.Networks = append(s.Networks, n)
	}
	return s
}

func BenchmarkTightestOf5000Destinations(b *testing.B) {
	s := newCrowdedSample(1, 5000)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.TightestPool(); !ok {
			b.Fatal("no pool")
		}
	}
}
