package iphlpapi

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

func parseAddrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// newPortConfig returns a configuration in which every range is r.
func newPortConfig(r ports.Range) *portConfig {
	var p portConfig
	for i := range families {
		for _, protocol := range netsh.Protocols {
			p.ranges[i][protocol] = dynamicPorts{ports: r, source: socket.RangeNetsh, reserved: new(ports.Set)}
		}
	}
	return &p
}

// countTables counts the rows of tables.
func countTables(t testing.TB, p *portConfig, tables ...*tableBuilder) (*networkBuilder, []socket.Network) {
	t.Helper()
	var n networkBuilder
	n.startSample(p)
	for _, m := range tables {
		rows, err := m.kind.sliceRows(m.encode())
		if err != nil {
			t.Fatal(err)
		}
		n.addTable(m.kind, rows)
	}
	return &n, n.buildNetworks()
}

// newClients returns a table of n connections from ports starting at first to one destination.
func newClients(kind tableKind, n int, first int, to string, state tcpstate.State, pid uint32) *tableBuilder {
	m := &tableBuilder{kind: kind}
	source := "10.0.0.5"
	if kind == tcp6 {
		source = "[2001:db8::5]"
	}
	for i := range n {
		m.addSocket(fmt.Sprintf("%s:%d", source, first+i), to, state, pid)
	}
	return m
}

var thousand = ports.Range{First: 50000, Last: 50999}

func TestTheNetworkOfAMachine(t *testing.T) {
	tcp := newClients(tcp4, 300, 50000, "10.0.0.9:5432", tcpstate.TimeWait, 0)
	for i := range 100 { // the same ports to another peer, as connect() may choose them
		tcp.addSocket(fmt.Sprintf("10.0.0.5:%d", 50000+i), "10.0.0.8:443", tcpstate.Established, 700)
	}
	tcp.addSocket("0.0.0.0:50900", "", tcpstate.Listen, 800)                     // a listener in the range
	tcp.addSocket("10.0.0.5:50900", "10.0.0.7:61000", tcpstate.Established, 800) // its client
	tcp.addSocket("0.0.0.0:443", "", tcpstate.Listen, 4)                         // and one outside
	tcp.addSocket("10.0.0.5:443", "10.0.0.7:61001", tcpstate.CloseWait, 4)       // its client
	tcp.addSocket("0.0.0.0:50950", "", tcpstate.Close, 9)                        // bound and no more
	six := newClients(tcp6, 50, 50500, "[2001:db8::9]:443", tcpstate.CloseWait, 700)
	udp := (&tableBuilder{kind: udp4}).addSocket("0.0.0.0:50001", "", 0, 5).addSocket("10.0.0.5:50001", "", 0, 6).addSocket("0.0.0.0:53", "", 0, 7)
	tcp.addSocket("0.0.0.0:50985", "", tcpstate.Listen, 5)                     // on a port that is excluded
	tcp.addSocket("10.0.0.5:50000", "10.0.0.9:5432", tcpstate.TimeWait, 0).n-- // beyond the number of rows
	p := newPortConfig(thousand)
	p.ranges[0][socket.TCP].reserved.AddRange(ports.Range{First: 50980, Last: 50989})

	n, networks := countTables(t, p, tcp, six, udp)
	if len(networks) != 1 {
		t.Fatalf("%d networks", len(networks))
	}
	got := networks[0]
	want := socket.Network{
		Owner:    socket.Owner{Kind: socket.OwnerHost},
		Settings: socket.Settings{Range: thousand, Reserved: 10, TriesEveryPort: true, UDP: &socket.UDPSettings{Range: thousand}},
		InUse:    352, Skipped: 2, SkippedListening: 1, BindUnknown: true, Detailed: true,
		States: tcpstate.Counts{
			tcpstate.TimeWait: 300, tcpstate.Established: 101, tcpstate.Listen: 3, tcpstate.CloseWait: 51, tcpstate.Bound: 1,
		},
		Destinations: []socket.Destination{
			{Source: parseAddrPort("10.0.0.5:1").Addr(), Address: parseAddrPort("10.0.0.9:1").Addr(), Port: 5432, States: tcpstate.Counts{tcpstate.TimeWait: 300}},
			{Source: parseAddrPort("10.0.0.5:1").Addr(), Address: parseAddrPort("10.0.0.8:1").Addr(), Port: 443, States: tcpstate.Counts{tcpstate.Established: 100}},
			{Source: parseAddrPort("[2001:db8::5]:1").Addr(), Address: parseAddrPort("[2001:db8::9]:1").Addr(), Port: 443, States: tcpstate.Counts{tcpstate.CloseWait: 50}},
		},
		UDPInUse: 1, UDPSockets: 3, ListenPorts: []uint16{50900},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if u := n.listUnobserved(); u != nil {
		t.Errorf("unobserved %v", u)
	}
	pool, _ := (&socket.Sample{Networks: networks}).TightestPool()
	if pool.Used != 302 || pool.UsedMax != 352 || pool.Capacity != 990 || pool.Destination == nil || pool.Destination.Port != 5432 {
		t.Errorf("the tightest pool is %+v", pool)
	}
	look := n.inspectPool(pool)
	if diff := cmp.Diff([]socket.Holder{{PID: 700, Sockets: 150}, {PID: 9, Sockets: 1}, {PID: 800, Sockets: 1}}, look.Holders); diff != "" || look.ProcessSockets != 152 || !look.Describes(pool) {
		t.Errorf("-want +got\n%s%+v", diff, look)
	}
}

func TestEachFamilyHasANetworkWhereRangesDiffer(t *testing.T) {
	p := newPortConfig(thousand)
	p.ranges[1][socket.TCP].ports = ports.Range{First: 60000, Last: 60099}
	four := newClients(tcp4, 30, 50000, "10.0.0.9:5432", tcpstate.Established, 1)
	six := newClients(tcp6, 40, 60000, "[2001:db8::9]:5432", tcpstate.Established, 2)
	six.addSocket("[::]:50900", "", tcpstate.Listen, 3) // serves IPv4 as well
	six.addSocket("[::ffff:10.0.0.5]:50001", "[::ffff:10.0.0.9]:80", tcpstate.Established, 1)
	n, networks := countTables(t, p, four, six)
	if len(networks) != 2 {
		t.Fatalf("%d networks", len(networks))
	}
	got := make([]string, 2)
	for i := range networks {
		w := &networks[i]
		got[i] = fmt.Sprintf("%v %v in use %d skipped %d listening %v sockets %d destinations %d", w.Family, w.Settings.Range, w.InUse, w.Skipped, w.ListenPorts, w.States.Total(), len(w.Destinations))
	}
	want := []string{
		"IPv4 50000-50999 in use 31 skipped 1 listening [50900] sockets 31 destinations 2",
		"IPv6 60000-60099 in use 40 skipped 0 listening [] sockets 41 destinations 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if networks[0].Inode == networks[1].Inode {
		t.Error("the networks have the same inode")
	}
	pool, _ := (&socket.Sample{Networks: networks}).TightestPool()
	if l := n.inspectPool(pool); pool.Network.Family != socket.IPv6 || !l.Describes(pool) || len(l.Holders) != 1 || l.Holders[0].PID != 2 {
		t.Errorf("%v: %+v", pool.Network.Family, l)
	}
	blocks := map[string]int{}
	for _, r := range n.describeRanges() {
		blocks[r.Family.String()+" "+r.Protocol.String()] = *r.FreeBlocks
	}
	// 50000-50029 and 50900 are in use by TCP over IPv4; 60000-60039 by IPv6.
	if diff := cmp.Diff(map[string]int{"IPv4 TCP": 14, "IPv4 UDP": 15, "IPv6 TCP": 0, "IPv6 UDP": 15}, blocks); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestSamplesAreIndependent(t *testing.T) {
	n, _ := countTables(t, newPortConfig(thousand), newClients(tcp4, 300, 50000, "10.0.0.9:5432", tcpstate.CloseWait, 700).addSocket("0.0.0.0:50900", "", tcpstate.Listen, 4))
	n.startSample(newPortConfig(thousand))
	m := newClients(tcp4, 100, 50200, "10.0.0.8:80", tcpstate.Established, 701)
	m.addSocket("10.0.0.5:50300", "10.0.0.8:80", tcpstate.Established, 700)
	m.addSocket("10.0.0.5:50301", "10.0.0.8:80", tcpstate.TimeWait, 0) // without a process
	n.addTable(tcp4, m.rows)
	got := n.buildNetworks()[0]
	if got.InUse != 102 || got.Skipped != 0 || got.States.Total() != 102 || len(got.Destinations) != 1 {
		t.Errorf("%+v", got)
	}
	pool, _ := (&socket.Sample{Networks: []socket.Network{got}}).TightestPool()
	want := []socket.Holder{{PID: 701, Sockets: 100}, {PID: 700, Sockets: 1}}
	if diff := cmp.Diff(want, n.inspectPool(pool).Holders); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestHoldersOfUDPPorts(t *testing.T) {
	udp := &tableBuilder{kind: udp4}
	for i := range 600 {
		udp.addSocket(fmt.Sprintf("0.0.0.0:%d", 50000+i), "", 0, 53)
	}
	udp.addSocket("0.0.0.0:50900", "", 0, 54).addSocket("0.0.0.0:53", "", 0, 55).addSocket("0.0.0.0:123", "", 0, 55)
	six := (&tableBuilder{kind: udp6}).addSocket("[::]:50901", "", 0, 54)
	n, networks := countTables(t, newPortConfig(thousand), udp, six)
	pool, _ := (&socket.Sample{Networks: networks}).TightestPool()
	l := n.inspectPool(pool)
	want := []socket.Holder{{PID: 53, Sockets: 600}, {PID: 54, Sockets: 2}}
	if diff := cmp.Diff(want, l.Holders); diff != "" || pool.Protocol != socket.UDP || !l.Describes(pool) || l.Protocol != socket.UDP {
		t.Errorf("%+v: -want +got\n%s", pool, diff)
	}
	for p := range networks[0].Pools() {
		if l.Describes(p) != (p.Protocol == socket.UDP) {
			t.Errorf("the detail of UDP also matches %v %v", p.Protocol, p.Kind)
		}
	}
	n.startSample(newPortConfig(thousand))
	n.addTable(udp4, (&tableBuilder{kind: udp4}).addSocket("0.0.0.0:50000", "", 0, 99).rows)
	networks = n.buildNetworks()
	pool, _ = networks[0].UDPPool()
	if diff := cmp.Diff([]socket.Holder{{PID: 99, Sockets: 1}}, n.inspectPool(pool).Holders); diff != "" {
		t.Errorf("the sample after: -want +got\n%s", diff)
	}
}

func TestSocketsInUnknownStatesAreReported(t *testing.T) {
	m := (&tableBuilder{kind: tcp4}).addRow(parseAddrPort("10.0.0.5:50000"), parseAddrPort("10.0.0.9:80"), 77, 1)
	n, networks := countTables(t, newPortConfig(thousand), m)
	want := []socket.Unobserved{{Item: "states", Reason: "1 sockets are in an unknown state and count as established"}}
	if diff := cmp.Diff(want, n.listUnobserved()); diff != "" || networks[0].InUse != 1 {
		t.Errorf("%d in use, -want +got\n%s", networks[0].InUse, diff)
	}
}

func TestProcessesBeyondTheMaximumNumber(t *testing.T) {
	m := &tableBuilder{kind: tcp4}
	for i := range 5000 {
		m.addSocket(fmt.Sprintf("10.0.0.5:%d", 50000+i), "10.0.0.9:80", tcpstate.Established, uint32(i/2+4))
	}
	for range 2 {
		n, networks := countTables(t, newPortConfig(ports.Range{First: 50000, Last: 60000}), m, m)
		pool, _ := (&socket.Sample{Networks: networks}).TightestPool()
		if l := n.inspectPool(pool); len(l.Holders) != 4 || l.ProcessSockets > 10000 || l.Holders[0].Sockets != 4 {
			t.Errorf("%+v", l)
		}
	}
}

// FuzzTables checks that every row of a valid table is counted once and that no more ports
// are in use than exist.
func FuzzTables(f *testing.F) {
	for _, m := range []*tableBuilder{
		newClients(tcp4, 3, 50000, "10.0.0.9:5432", tcpstate.TimeWait, 0),
		newClients(tcp6, 3, 50000, "[2001:db8::9]:5432", tcpstate.Established, 7),
		(&tableBuilder{kind: udp4}).addSocket("0.0.0.0:50001", "", 0, 5),
		(&tableBuilder{kind: udp6}).addSocket("[::]:50001", "", 0, 5),
		(&tableBuilder{kind: tcp4}).addSocket("127.0.0.1:50001", "127.0.0.1:50002", tcpstate.TimeWait, 0),
	} {
		f.Add(uint8(m.kind), false, m.encode())
		f.Add(uint8(m.kind), true, m.encode()[:9])
	}
	f.Fuzz(func(t *testing.T, kind uint8, apart bool, buf []byte) {
		table := tableKind(kind % uint8(numTables))
		rows, err := table.sliceRows(buf)
		if err != nil {
			return
		}
		p := newPortConfig(thousand)
		if apart {
			p.ranges[1][socket.TCP].ports = ports.Range{First: 1, Last: 65535}
		}
		var n networkBuilder
		n.startSample(p)
		n.addTable(table, rows)
		count := 0
		for _, w := range n.buildNetworks() {
			count += w.States.Total() + w.UDPSockets
			if most := w.Settings.Range.Len(); w.InUse > most || w.Skipped > w.InUse || w.SkippedListening > w.Skipped || w.UDPInUse > 65536 {
				t.Errorf("of %d ports: %+v", most, w)
			}
			for pool := range w.Pools() {
				if pool.Used < 0 || int(pool.Used) > max(len(rows), 65536) {
					t.Errorf("%+v", pool)
				}
			}
		}
		if most := len(rows) / rowBytes[table]; table <= tcp6 && count != most || count > most {
			t.Errorf("%d sockets of %d rows", count, most)
		}
		for _, r := range n.describeRanges() {
			if *r.FreeBlocks < 0 || *r.FreeBlocks > r.Range.Len()/socket.HNSBlockSize {
				t.Errorf("%+v", r)
			}
		}
	})
}
