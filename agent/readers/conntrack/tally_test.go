package conntrack

import (
	"net/netip"
	"slices"
	"testing"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

var (
	from = netip.MustParseAddr("192.0.2.1")
	to   = netip.MustParseAddrPort("198.51.100.9:443")
)

// flow is an ESTABLISHED connection that is translated to a port.
func flow(port uint16) entry {
	return entry{protocol: protocolTCP, source: netip.AddrPortFrom(from, port), destination: to, status: statusSourceNAT, state: 3}
}

// flows are on n ports, every step from first on.
func flows(first, n, step int) (list []entry) {
	for i := range n {
		list = append(list, flow(uint16(first+i*step)))
	}
	return list
}

func TestListed(t *testing.T) {
	ended := func(e entry) entry { e.state = stateTimeWait; return e }
	with := func(e entry, change func(*entry)) entry { change(&e); return e }
	pool := func(ports, capacity, reusable int, states tcpstate.Counts) socket.SNATPool {
		return socket.SNATPool{Destination: socket.Destination{Source: from, Address: to.Addr(), Port: 443,
			States: states, Reusable: uint32(reusable)}, InUse: ports, Capacity: capacity}
	}
	established := func(n uint32) tcpstate.Counts { return tcpstate.Counts{tcpstate.Established: n} }
	for name, test := range map[string]struct {
		entries         []entry
		evicts, failing bool
		want            []socket.SNATPool
	}{
		"nothing":                                {nil, true, true, nil},
		"ports are connections":                  {flows(1024, 3, 1), true, false, []socket.SNATPool{pool(3, allPorts, 0, established(3))}},
		"those that aren't translated take none": {[]entry{with(flow(5000), func(e *entry) { e.status = 0 })}, true, false, nil},
		"privileged ports are another matter":    {[]entry{flow(1023)}, true, false, nil},
		"other protocols are left out":           {[]entry{with(flow(5000), func(e *entry) { e.protocol = 132 })}, true, false, nil},
		"ended connections are reusable where the kernel takes them over": {
			[]entry{ended(flow(5000)), flow(5001)}, true, false,
			[]socket.SNATPool{pool(2, allPorts, 1, tcpstate.Counts{tcpstate.Established: 1, tcpstate.TimeWait: 1})}},
		"and are not where it doesn't": {
			[]entry{ended(flow(5000)), flow(5001)}, false, false,
			[]socket.SNATPool{pool(2, allPorts, 0, tcpstate.Counts{tcpstate.Established: 1, tcpstate.TimeWait: 1})}},
		"nor where the entry is offloaded to hardware": {
			[]entry{with(ended(flow(5000)), func(e *entry) { e.status |= statusHWOffload })}, true, false,
			[]socket.SNATPool{pool(1, allPorts, 0, tcpstate.Counts{tcpstate.TimeWait: 1})}},
		"a full block while connections fail is a rule's range": {flows(40000, 100, 1), true, true, []socket.SNATPool{pool(100, 100, 0, established(100))}},
		"also with a few ports just free":                       {slices.Delete(flows(40000, 100, 1), 50, 60), true, true, []socket.SNATPool{pool(90, 100, 0, established(90))}},
		"but not with more":                                     {slices.Delete(flows(40000, 100, 1), 50, 61), true, true, []socket.SNATPool{pool(89, allPorts, 0, established(89))}},
		"a full block while none fails can be anything":         {flows(40000, 100, 1), true, false, []socket.SNATPool{pool(100, allPorts, 0, established(100))}},
		"every other port is a Linux client's own":              {flows(40000, 100, 2), true, true, []socket.SNATPool{pool(100, allPorts, 0, established(100))}},
		"a short block is chance":                               {flows(40000, leastSpan-1, 1), true, true, []socket.SNATPool{pool(leastSpan-1, allPorts, 0, established(leastSpan-1))}},
		"zones have pools of their own": {
			[]entry{flow(5000), with(flow(5000), func(e *entry) { e.zone = 1 }), with(flow(5001), func(e *entry) { e.zone = 1 })}, true, false,
			[]socket.SNATPool{pool(2, allPorts, 0, established(2)), pool(1, allPorts, 0, established(1))}},
	} {
		t.Run(name, func(t *testing.T) {
			var y tally
			for _, e := range test.entries {
				y.add(e)
			}
			if d := diff(test.want, y.listed(test.evicts, test.failing)); d != "" || y.left != 0 {
				t.Errorf("%d left (-want +got):\n%s", y.left, d)
			}
		})
	}
}

func TestTheFullestPoolsAreListed(t *testing.T) {
	var y tally
	for i := range maxListed + 10 {
		for port := range i + 1 {
			e := flow(uint16(firstPort + port))
			e.destination = netip.AddrPortFrom(to.Addr(), uint16(1+i))
			y.add(e)
		}
	}
	got := y.listed(true, false)
	if len(got) != maxListed || got[0].InUse != maxListed+10 || got[maxListed-1].InUse != 11 {
		t.Errorf("%d pools, from %d to %d ports, want %d, from %d to 11",
			len(got), got[0].InUse, got[len(got)-1].InUse, maxListed, maxListed+10)
	}
}

func TestPoolsBeyondTheLimitAreCounted(t *testing.T) {
	var y tally
	for i := range maxPools + 5 {
		e := flow(5000)
		e.destination = netip.AddrPortFrom(to.Addr(), uint16(1+i))
		y.add(e)
	}
	y.add(flow(5001)) // 443 is one of the first: it is counted
	if len(y.pools) != maxPools || y.left != 5 {
		t.Errorf("%d pools, %d left, want %d and 5", len(y.pools), y.left, maxPools)
	}
	if got := y.listed(true, false)[0]; got.Port != 443 || got.InUse != 2 {
		t.Errorf("%+v, want 2 ports to 443", got)
	}
}
