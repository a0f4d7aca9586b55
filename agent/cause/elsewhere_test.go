package cause

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// newHealthyEvidence returns the evidence of a pool with free ports, in a network that the
// options change.
func newHealthyEvidence(change ...func(*NetworkState)) Evidence {
	e := belowThreshold(newEvidence(tcpstate.Counts{tcpstate.Established: 10}))
	n := NetworkState{Network: e.Pool.Network, Name: "shop/api"}
	n.Settings.MaxTimeWait = 131072
	for _, c := range change {
		c(&n)
	}
	e.Networks = []NetworkState{{Network: &socket.Network{Settings: standard}, Name: "shop/other"}, n}
	for _, n := range e.Networks {
		if c, ok := FindCollision(n, ports.Range{First: 30000, Last: 32767}, System{}); ok {
			e.Collisions = append(e.Collisions, c)
		}
	}
	return e
}

func TestBottlenecksOtherThanPorts(t *testing.T) {
	java := socket.Process{Name: "java", PID: 31014}
	queue := socket.AcceptQueue{Listener: netip.MustParseAddrPort("0.0.0.0:8080"), Length: 129, Limit: 128, Process: java}
	client := netip.MustParseAddrPort("10.1.0.1:443")
	tests := map[string]struct {
		evidence Evidence
		want     v1alpha1.Cause
		advice   []string // parts of it
	}{
		"A full accept queue": {newHealthyEvidence(func(n *NetworkState) { n.Evidence.AcceptQueues = []socket.AcceptQueue{queue} }),
			v1alpha1.CauseAcceptQueueFull, []string{"(28222 of 28232 are free in the fullest pool)", "the accept queue of *:8080 is full (129 of 128)",
				"java (pid 31014) of shop/api does not call accept()", "somaxconn = 4096 (NodeTuning linux.backlog.accept)"}},
		"A full accept queue of clients that gave up": {newHealthyEvidence(func(n *NetworkState) {
			n.Evidence.AcceptQueues = []socket.AcceptQueue{queue}
			n.Evidence.CloseWait = []socket.CloseWaitGroup{{Process: java, Listener: 8080, Sockets: 500, Peers: 9}}
		}), v1alpha1.CauseAcceptQueueFull, nil},
		"An accept queue that overflowed": {newHealthyEvidence(func(n *NetworkState) { n.Recent.ListenOverflows = 40 }),
			v1alpha1.CauseAcceptQueueFull, []string{"a listener of shop/api", "40 connections were refused recently (ListenOverflows)"}},
		"An accept queue with room": {newHealthyEvidence(func(n *NetworkState) {
			n.Evidence.AcceptQueues, n.Recent.ListenOverflows = []socket.AcceptQueue{{Length: 127, Limit: 128}}, 9
		}), v1alpha1.CausePoolNotTight, nil},
		"A leak of a server": {newHealthyEvidence(func(n *NetworkState) {
			n.Evidence.CloseWait = []socket.CloseWaitGroup{{Process: java, Listener: 8080, Sockets: 120, Open: 3, Peers: 5}}
		}), v1alpha1.CauseCloseWaitLeak, []string{"120 connections to port 8080 are in CLOSE_WAIT", "java (pid 31014) of shop/api has not", "File descriptors run out first"}},
		"A leak spread over peers": {newHealthyEvidence(func(n *NetworkState) {
			n.Evidence.CloseWait = []socket.CloseWaitGroup{{Process: java, Sockets: 900, Peers: 40, Peer: client}}
		}), v1alpha1.CauseCloseWaitLeak, []string{"900 connections to 40 peers, most to 10.1.0.1:443, are in CLOSE_WAIT"}},
		"A leak of which only the number is known": {newHealthyEvidence(func(n *NetworkState) {
			n.Detailed, n.States = true, tcpstate.Counts{tcpstate.CloseWait: 400, tcpstate.Established: 300}
		}), v1alpha1.CauseCloseWaitLeak, []string{"400 connections are in CLOSE_WAIT", "the program of shop/api"}},
		"Fewer sockets in CLOSE_WAIT than open ones": {newHealthyEvidence(func(n *NetworkState) {
			n.Detailed, n.States = true, tcpstate.Counts{tcpstate.CloseWait: 400, tcpstate.Established: 500}
		}), v1alpha1.CausePoolNotTight, nil},
		"TIME_WAIT at its limit": {newHealthyEvidence(func(n *NetworkState) { n.Settings.MaxTimeWait, n.States[tcpstate.TimeWait] = 5, 5 }),
			v1alpha1.CauseTimeWaitLimit, []string{"net.ipv4.tcp_max_tw_buckets", "tcp_max_tw_buckets = 8192"}},
		"TIME_WAIT that was at its limit": {newHealthyEvidence(func(n *NetworkState) { n.Recent.TimeWaitOverflows = 100 }), v1alpha1.CauseTimeWaitLimit, nil},
		"Privileged ports": {newHealthyEvidence(func(n *NetworkState) { n.Evidence.Privileged = new(340) }),
			v1alpha1.CausePrivilegedPorts, []string{"340 of 359 privileged source ports (665-1023) of shop/api", "noresvport"}},
		"Few privileged ports": {newHealthyEvidence(func(n *NetworkState) { n.Evidence.Privileged = new(300) }), v1alpha1.CausePoolNotTight, nil},
		"Refused calls with free ports": {newHealthyEvidence(func(n *NetworkState) { n.Recent.Refused = 3 }),
			v1alpha1.CauseAddressNotAvailable, []string{"3 calls of shop/api failed recently with EADDRNOTAVAIL although"}},
		"Refused calls where IPv6 is off": {newHealthyEvidence(func(n *NetworkState) { n.Recent.Refused, n.Evidence.IsIPv6Off = 3, new(true) }),
			v1alpha1.CauseAddressNotAvailable, []string{"IPv6 is off there"}},
		"IPv6 that is off": {newHealthyEvidence(func(n *NetworkState) { n.Evidence.IsIPv6Off = new(true) }),
			v1alpha1.CausePoolNotTight, []string{"If calls fail with EADDRNOTAVAIL, ephemeral ports are not the bottleneck but the address: IPv6 is off", "(shop/api)"}},
		"A process near its limit of files": {withFileUsage(newHealthyEvidence(), socket.FileUsage{Process: java, Open: 1012, Max: 1024}),
			v1alpha1.CauseFileDescriptors, []string{"java (pid 31014) has 1012 of 1024 files open", "EMFILE"}},
		"A full neighbour table": {onMachine(Machine{Neighbours: [2]NeighbourTable{{Usage: Usage{1015, 1024}}}}, newHealthyEvidence()),
			v1alpha1.CauseNeighbourTableFull, []string{"(ARP) has 1015 of 1024 entries", "ENOBUFS", "net.ipv4.neigh.default.gc_thresh3 = 4096"}},
		"A neighbour table that overflowed": {onMachine(Machine{Neighbours: [2]NeighbourTable{1: {Usage: Usage{600, 1024}, Overflows: 2}}}, newHealthyEvidence()),
			v1alpha1.CauseNeighbourTableFull, []string{"(NDP)", "net.ipv6.neigh.default.gc_thresh3"}},
		"A range over services' ports": {newHealthyEvidence(func(n *NetworkState) {
			n.Settings.Range = ports.Range{First: 8100, Last: 9100}
			n.Evidence.HeldPorts = []socket.HeldPort{{Port: 9090, Peer: client, Process: java}}
		}), v1alpha1.CausePortRangeCollision, []string{"port 9090 is in use by a connection of java (pid 31014) to 10.1.0.1:443",
			"ip_local_reserved_ports = 8443, 8883, 8888, 9000, 9042, 9090, 9092-9093, 9100 (NodeTuning linux.reservedPorts)"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := EvaluatePool(test.evidence)
			advice := got.Advice()
			if got.Cause != test.want {
				t.Errorf("%s: %s\nwant %s", got.Cause, advice, test.want)
			}
			for _, part := range test.advice {
				if !strings.Contains(advice, part) {
					t.Errorf("%s\nhas no %q", advice, part)
				}
			}
			if says := strings.Contains(advice, "not the bottleneck"); says != (test.want != v1alpha1.CausePoolNotTight || strings.Contains(advice, "IPv6 is off")) {
				t.Errorf("without another bottleneck, the advice must not deny that ports are it, and with one it must: %s", advice)
			}
			checkDiagnosis(t, got)
		})
	}
}

func withFileUsage(e Evidence, u socket.FileUsage) Evidence {
	e.FileUsage = []socket.FileUsage{u}
	return e
}

func TestCollisionsOfTheRange(t *testing.T) {
	nodePorts := ports.Range{First: 30000, Last: 32767}
	reserve := func(list string) *ports.Set {
		set, err := ports.ParseList(list)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	listeners := func(list ...string) (out []netip.AddrPort) {
		for _, s := range list {
			out = append(out, netip.MustParseAddrPort(s))
		}
		return out
	}
	host := socket.Owner{Kind: socket.OwnerHost}
	tests := map[string]struct {
		n           socket.Network
		nodePorts   ports.Range
		system      System
		reservation string // empty if there is no collision
	}{
		"The default range": {n: socket.Network{Owner: host}, nodePorts: nodePorts},
		"A range over NodePorts": {n: socket.Network{Owner: host, Settings: socket.Settings{Range: ports.Range{First: 16384, Last: 65535}}},
			nodePorts: nodePorts, reservation: "30000-32767"},
		"NodePorts that were moved into the default range": {n: socket.Network{Owner: host}, nodePorts: ports.Range{First: 40000, Last: 42767}, reservation: "40000-42767"},
		"Reserved NodePorts": {n: socket.Network{Owner: host, Settings: socket.Settings{Range: ports.Range{First: 16384, Last: 65535}, Reserved: 2768},
			Evidence: socket.Evidence{Reserved: reserve("30000-32767")}}, nodePorts: nodePorts},
		"Reserved ports that are not known":                    {n: socket.Network{Owner: host, Settings: socket.Settings{Range: ports.Range{First: 1024, Last: 65535}, Reserved: 5}}, nodePorts: nodePorts},
		"NodePorts are those of the host":                      {n: socket.Network{Settings: socket.Settings{Range: ports.Range{First: 16384, Last: 65535}}}, nodePorts: nodePorts},
		"A listener of the parity of connect()":                {n: socket.Network{ListenPorts: []uint16{40000}}, reservation: "40000"},
		"A listener that bind(0) may have chosen":              {n: socket.Network{ListenPorts: []uint16{40001}}},
		"A listener that bind(0) may have chosen, on loopback": {n: socket.Network{Evidence: socket.Evidence{Listeners: listeners("127.0.0.1:40001")}}},
		"A listener of the other parity, for all":              {n: socket.Network{Evidence: socket.Evidence{Listeners: listeners("[::]:40001", "0.0.0.0:40001")}}, reservation: "40001"},
		"A known service":                                      {n: socket.Network{ListenPorts: []uint16{50051}}, reservation: "50051"},
		"Services below 10000": {n: socket.Network{Settings: socket.Settings{Range: ports.Range{First: 9000, Last: 9100}, Reserved: 1},
			Evidence: socket.Evidence{Reserved: reserve("9090")}}, reservation: "9000,9042,9090,9092-9093,9100"},
		"Listeners of Windows": {n: socket.Network{Settings: socket.Settings{Range: ports.Range{First: 49152, Last: 65535}}, ListenPorts: []uint16{49664, 49668}}, system: System{IsWindows: true}},
		"A range of Windows over NodePorts": {n: socket.Network{Owner: host, Settings: socket.Settings{Range: ports.Range{First: 20000, Last: 65535}}},
			nodePorts: nodePorts, system: System{IsWindows: true}, reservation: "30000-32767"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.n.Settings.Range == (ports.Range{}) {
				test.n.Settings.Range = ports.Range{First: 32768, Last: 60999}
			}
			c, ok := FindCollision(NetworkState{Network: &test.n, Name: "Host"}, test.nodePorts, test.system)
			if got := c.Reservation(); ok != (test.reservation != "") || ok && got != test.reservation {
				t.Errorf("%v, %q, want %q: %s", ok, got, test.reservation, c.Describe())
			}
			if want := fmt.Sprintf("the ephemeral range %v of Host covers", test.n.Settings.Range); ok && !strings.HasPrefix(c.Describe(), want) {
				t.Errorf("%q, want %q", c.Describe(), want)
			}
		})
	}
}

func TestTheReasonForMissingReuseIsExplained(t *testing.T) {
	tests := map[string]struct {
		change func(*socket.Network)
		rate   *float64
		want   string
		key    string
	}{
		"No timestamps here": {func(n *socket.Network) { n.Settings.Reuse, n.Settings.Timestamps = socket.ReuseAll, false }, nil,
			"because net.ipv4.tcp_timestamps is 0 here.", "net.ipv4.tcp_timestamps"},
		"No timestamps here, and reuse is off": {func(n *socket.Network) { n.Settings.Reuse, n.Settings.Timestamps = socket.ReuseOff, false }, nil,
			"tcp_tw_reuse would not help, because net.ipv4.tcp_timestamps is 0 here.", "net.ipv4.ip_local_port_range"},
		"No timestamps of the peer":       {func(n *socket.Network) { n.Settings.Reuse = socket.ReuseAll }, new(300.0), "because the peer sends no TCP timestamps.", "net.ipv4.ip_local_port_range"},
		"An unknown rate":                 {func(n *socket.Network) { n.Settings.Reuse = socket.ReuseAll }, nil, "younger than a second, or whose peer sends no", "net.ipv4.ip_local_port_range"},
		"Reuse on loopback only":          {func(n *socket.Network) { n.Settings.Reuse = socket.ReuseLoopback }, new(300.0), "", "net.ipv4.ip_local_port_range"},
		"Settings that a dump can't show": {func(n *socket.Network) { n.Settings.MaxTimeWait = 0 }, new(300.0), "", "net.ipv4.ip_local_port_range"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := newEvidence(tcpstate.Counts{tcpstate.TimeWait: 20000}, func(n *socket.Network) {
				n.Settings.MaxTimeWait, n.Settings.Timestamps, n.Settings.ReuseDelay = 131072, true, 1e9
				test.change(n)
			})
			e.OpensPerSecond = test.rate
			got := EvaluatePool(e)
			if got.Cause != v1alpha1.CauseTimeWaitChurn || !strings.Contains(got.Finding, test.want) || got.Setting == nil || got.Setting.Key != test.key {
				t.Errorf("%s: %s", got.Cause, got.Advice())
			}
			if strings.Contains(got.Finding, "reuse") != (test.want != "") {
				t.Errorf("%s", got.Finding)
			}
			checkDiagnosis(t, got)
		})
	}
}
