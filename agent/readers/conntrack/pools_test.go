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

// newFlow returns the entry of an ESTABLISHED connection that is translated to a port.
func newFlow(port uint16) conntrackEntry {
	return conntrackEntry{protocol: protocolTCP, source: netip.AddrPortFrom(from, port), destination: to, status: statusSourceNAT, state: 3}
}

// newFlows returns n entries on every step-th port from first on.
func newFlows(first, n, step int) (list []conntrackEntry) {
	for i := range n {
		list = append(list, newFlow(uint16(first+i*step)))
	}
	return list
}

func TestListFullest(t *testing.T) {
	ended := func(e conntrackEntry) conntrackEntry { e.state = stateTimeWait; return e }
	with := func(e conntrackEntry, change func(*conntrackEntry)) conntrackEntry { change(&e); return e }
	pool := func(ports, capacity, reusable int, states tcpstate.Counts) socket.SNATPool {
		return socket.SNATPool{Destination: socket.Destination{Source: from, Address: to.Addr(), Port: 443,
			States: states, Reusable: uint32(reusable)}, InUse: ports, Capacity: capacity}
	}
	established := func(n uint32) tcpstate.Counts { return tcpstate.Counts{tcpstate.Established: n} }
	for name, test := range map[string]struct {
		entries             []conntrackEntry
		canEvict, isFailing bool
		want                []socket.SNATPool
	}{
		"nothing":                     {nil, true, true, nil},
		"each connection uses a port": {newFlows(1024, 3, 1), true, false, []socket.SNATPool{pool(3, allPorts, 0, established(3))}},
		"connections without translation use none": {[]conntrackEntry{with(newFlow(5000), func(e *conntrackEntry) { e.status = 0 })}, true, false, nil},
		"privileged ports are omitted":             {[]conntrackEntry{newFlow(1023)}, true, false, nil},
		"other protocols are omitted":              {[]conntrackEntry{with(newFlow(5000), func(e *conntrackEntry) { e.protocol = 132 })}, true, false, nil},
		"ended connections are reusable if the kernel can evict them": {
			[]conntrackEntry{ended(newFlow(5000)), newFlow(5001)}, true, false,
			[]socket.SNATPool{pool(2, allPorts, 1, tcpstate.Counts{tcpstate.Established: 1, tcpstate.TimeWait: 1})}},
		"ended connections are not reusable if the kernel can't": {
			[]conntrackEntry{ended(newFlow(5000)), newFlow(5001)}, false, false,
			[]socket.SNATPool{pool(2, allPorts, 0, tcpstate.Counts{tcpstate.Established: 1, tcpstate.TimeWait: 1})}},
		"ended connections offloaded to hardware are not reusable": {
			[]conntrackEntry{with(ended(newFlow(5000)), func(e *conntrackEntry) { e.status |= statusHWOffload })}, true, false,
			[]socket.SNATPool{pool(1, allPorts, 0, tcpstate.Counts{tcpstate.TimeWait: 1})}},
		"a full block while connections fail is a rule's range": {newFlows(40000, 100, 1), true, true, []socket.SNATPool{pool(100, 100, 0, established(100))}},
		"a block with a few free ports is a rule's range":       {slices.Delete(newFlows(40000, 100, 1), 50, 60), true, true, []socket.SNATPool{pool(90, 100, 0, established(90))}},
		"a block with more free ports is not":                   {slices.Delete(newFlows(40000, 100, 1), 50, 61), true, true, []socket.SNATPool{pool(89, allPorts, 0, established(89))}},
		"a full block while none fails proves nothing":          {newFlows(40000, 100, 1), true, false, []socket.SNATPool{pool(100, allPorts, 0, established(100))}},
		"every other port comes from a Linux client":            {newFlows(40000, 100, 2), true, true, []socket.SNATPool{pool(100, allPorts, 0, established(100))}},
		"a short block proves nothing":                          {newFlows(40000, minRuleRange-1, 1), true, true, []socket.SNATPool{pool(minRuleRange-1, allPorts, 0, established(minRuleRange-1))}},
		"zones have their own pools": {
			[]conntrackEntry{newFlow(5000), with(newFlow(5000), func(e *conntrackEntry) { e.zone = 1 }), with(newFlow(5001), func(e *conntrackEntry) { e.zone = 1 })}, true, false,
			[]socket.SNATPool{pool(2, allPorts, 0, established(2)), pool(1, allPorts, 0, established(1))}},
	} {
		t.Run(name, func(t *testing.T) {
			var counter poolCounter
			for _, e := range test.entries {
				counter.addEntry(e)
			}
			if d := diffAddresses(test.want, counter.listFullest(test.canEvict, test.isFailing)); d != "" || counter.uncounted != 0 {
				t.Errorf("%d uncounted (-want +got):\n%s", counter.uncounted, d)
			}
		})
	}
}

func TestTheFullestPoolsAreListed(t *testing.T) {
	var counter poolCounter
	for i := range maxReportedPools + 10 {
		for port := range i + 1 {
			e := newFlow(uint16(firstPort + port))
			e.destination = netip.AddrPortFrom(to.Addr(), uint16(1+i))
			counter.addEntry(e)
		}
	}
	got := counter.listFullest(true, false)
	if len(got) != maxReportedPools || got[0].InUse != maxReportedPools+10 || got[maxReportedPools-1].InUse != 11 {
		t.Errorf("%d pools, from %d to %d ports, want %d, from %d to 11",
			len(got), got[0].InUse, got[len(got)-1].InUse, maxReportedPools, maxReportedPools+10)
	}
}

func TestPoolsBeyondTheLimitAreCounted(t *testing.T) {
	var counter poolCounter
	for i := range maxPools + 5 {
		e := newFlow(5000)
		e.destination = netip.AddrPortFrom(to.Addr(), uint16(1+i))
		counter.addEntry(e)
	}
	counter.addEntry(newFlow(5001)) // counted, because port 443 is one of the first pools
	if len(counter.pools) != maxPools || counter.uncounted != 5 {
		t.Errorf("%d pools, %d uncounted, want %d and 5", len(counter.pools), counter.uncounted, maxPools)
	}
	if got := counter.listFullest(true, false)[0]; got.Port != 443 || got.InUse != 2 {
		t.Errorf("%+v, want 2 ports to 443", got)
	}
}
