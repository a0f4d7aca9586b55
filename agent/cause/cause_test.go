package cause

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/tcpstate"
)

var (
	standard = socket.Settings{Range: ports.Range{First: 32768, Last: 60999}, Timestamps: true, FinTimeout: time.Minute}
	home     = netip.MustParseAddr("10.0.0.4")
	peer     = netip.MustParseAddr("10.0.0.9")
)

// to is a pod's only pool with these states.
func to(states tcpstate.Counts, change ...func(*socket.Network)) Evidence {
	n := &socket.Network{
		Owner: socket.Owner{Kind: socket.OwnerPod}, Settings: standard, States: states,
		Destinations: []socket.Destination{{Source: home, Address: peer, Port: 5432, States: states}},
	}
	for _, c := range change {
		c(n)
	}
	return Evidence{Pool: pools(n)[0], Network: "shop/api", Tight: true,
		Holder: &v1alpha1.Holder{Namespace: "shop", Pod: "api", Process: "java", PID: 4711}}
}

// pools are those of n, the fullest of the destinations' first.
func pools(n *socket.Network) []socket.Pool {
	return socket.Worst(n.Pools(), -1)
}

func looked(e Evidence, l socket.Look) Evidence {
	e.Look = &l
	return e
}

func bound(count, listening int) func(*socket.Network) {
	return func(n *socket.Network) {
		n.Skipped, n.SkippedListening = count+listening, listening
		n.Held = n.Skipped + n.States.Total()
	}
}

func withRange(first, last uint16) func(*socket.Network) {
	return func(n *socket.Network) { n.Settings.Range = ports.Range{First: first, Last: last} }
}

func on(m Machine, e Evidence) Evidence {
	e.Machine = m
	return e
}

func loose(e Evidence) Evidence {
	e.Tight = false
	return e
}

func windows(s System, e Evidence) Evidence {
	e.System = s
	return e
}

func TestJudge(t *testing.T) {
	est := func(n uint32) tcpstate.Counts { return tcpstate.Counts{tcpstate.Established: n} }
	tw := func(n uint32) tcpstate.Counts { return tcpstate.Counts{tcpstate.TimeWait: n} }
	reusable := func(now, all uint32) func(*socket.Network) {
		return func(n *socket.Network) { n.Destinations[0].Reusable, n.Destinations[0].ReusableIfAll = now, all }
	}
	full := Machine{Conntrack: Conntrack{Gauge: Gauge{262144, 262144}, Refused: 900}}
	tests := map[string]struct {
		evidence Evidence
		want     v1alpha1.Cause
		says     string // a part of the advice
	}{
		"TIME_WAIT has most": {to(tcpstate.Counts{tcpstate.TimeWait: 20000, tcpstate.Established: 900}),
			v1alpha1.CauseTimeWaitChurn, "about 333 connections a second are opened and closed, and the pool sustains 471"},
		"TIME_WAIT that could be reused": {to(tw(20000), reusable(0, 15000)),
			v1alpha1.CauseReusePossible, "tcp_tw_reuse = 1 (NodeTuning linux.timeWait.reuse) gives 15000 more ports"},
		"TIME_WAIT of which little could be reused": {to(tw(20000), reusable(0, 9000)), v1alpha1.CauseTimeWaitChurn, ""},
		"TIME_WAIT that is reused already":          {to(tw(28000), reusable(8000, 8000)), v1alpha1.CauseTimeWaitChurn, "20000 of 28232"},
		"A leak has half": {to(tcpstate.Counts{tcpstate.CloseWait: 10000, tcpstate.TimeWait: 10000}),
			v1alpha1.CauseCloseWaitLeak, "the peer has closed, and java (pid 4711) of shop/api has not"},
		"FIN_WAIT2 of orphans": {to(tcpstate.Counts{tcpstate.FinWait2: 15000}), v1alpha1.CauseFinWaitOrphans, "tcp_fin_timeout = 20 (NodeTuning linux.finTimeoutSeconds) helps; it is 60 now"},
		"FIN_WAIT2 that a process holds": {looked(to(tcpstate.Counts{tcpstate.FinWait2: 15000}), socket.Look{Held: 15000}),
			v1alpha1.CauseFinWaitOrphans, "does nothing for sockets that a process holds"},
		"FIN_WAIT1": {to(tcpstate.Counts{tcpstate.FinWait1: 15000}), v1alpha1.CauseFinWaitOrphans, "tcp_orphan_retries"},
		"SYN_SENT":  {to(tcpstate.Counts{tcpstate.SynSent: 15000}), v1alpha1.CauseSynSentStall, "the peer does not answer"},
		"SYN_SENT, by a table that is full": {on(full, to(tcpstate.Counts{tcpstate.SynSent: 15000})),
			v1alpha1.CauseConntrackFull, "refused 900 lately"},
		"TIME_WAIT beside a table that is full": {on(full, to(tw(15000))), v1alpha1.CauseTimeWaitChurn, ""},
		"SYN_SENT to many": {to(tcpstate.Counts{tcpstate.SynSent: 15000}, func(n *socket.Network) {
			for i := range byte(100) {
				n.Destinations = append(n.Destinations, socket.Destination{Address: netip.AddrFrom4([4]byte{10, 1, 0, i}), States: tcpstate.Counts{tcpstate.SynSent: 1}})
			}
		}), v1alpha1.CauseSynSentStall, "101 destinations do not answer: something scans"},
		"Open connections":   {to(est(15000)), v1alpha1.CauseEstablishedPool, "gives 20920 more ports"},
		"Those of a sidecar": {to(est(15000), func(n *socket.Network) { n.Destinations[0].Source = sidecars[0] }), v1alpha1.CauseEstablishedPool, "The Istio sidecar (istio-proxy, envoy) of shop/api"},
		"Silent ones": {looked(to(est(15000)), socket.Look{Established: 15000, Silent: 14000, Longest: time.Hour}),
			v1alpha1.CauseIdleConnections, "14000 of 15000 have been silent for 60 s or more, one for 1h0m0s"},
		"Those whose peers are gone": {looked(to(est(15000)), socket.Look{Established: 15000, Silent: 15000, NoKeepAlive: 10, Unanswered: 9000}),
			v1alpha1.CauseHalfOpen, "tcp_keepalive_time"},
		"Those, with data on the way": {looked(to(est(15000)), socket.Look{Established: 15000, Silent: 100, NoKeepAlive: 100, Unanswered: 9000}),
			v1alpha1.CauseHalfOpen, "tcp_retries2 = 8"},
		"Those, without keep-alive": {looked(to(est(15000)), socket.Look{Established: 15000, Silent: 15000, NoKeepAlive: 15000, Unanswered: 9000}),
			v1alpha1.CauseHalfOpen, "Turn on SO_KEEPALIVE"},
		"A wide range":   {to(est(40000), withRange(1024, 65535)), v1alpha1.CauseFewSources, "gives 64512 more"},
		"A narrow range": {to(est(900), withRange(60000, 60999)), v1alpha1.CauseNarrowRange, "gives 48152 more ports"},
		"A range that is reserved": {to(est(900), func(n *socket.Network) { n.Settings.Reserved = 27232 }),
			v1alpha1.CauseNarrowRange, "reserve fewer"},
		"A narrow range with a leak that is greater than each load": {to(tcpstate.Counts{tcpstate.Established: 200, tcpstate.TimeWait: 200, tcpstate.CloseWait: 390}, withRange(60000, 60999)),
			v1alpha1.CauseUnknown, "CLOSE_WAIT 390"},
		"A narrow range that leaks":     {to(tcpstate.Counts{tcpstate.CloseWait: 900}, withRange(60000, 60999)), v1alpha1.CauseCloseWaitLeak, "CLOSE_WAIT has no time-out"},
		"Ports that bind() took":        {to(est(4000), bound(12000, 100)), v1alpha1.CauseBoundPorts, "12000 of them"},
		"Ports that services listen on": {to(est(4000), bound(100, 12000), func(n *socket.Network) { n.ListenPorts = []uint16{40000, 40001} }), v1alpha1.CauseListenerInRange, "(40000, 40001…)"},
		"A holder without descriptors": {looked(to(est(15000)), socket.Look{Holders: []socket.Holder{{Process: "java", OpenFiles: 15800, MaxFiles: 16384}}}),
			v1alpha1.CauseFileDescriptors, "15800 of 16384"},
		"A holder with more descriptors than ports": {looked(to(est(27000)), socket.Look{Holders: []socket.Holder{{OpenFiles: 60000, MaxFiles: 65536}}}),
			v1alpha1.CauseEstablishedPool, ""},
		"One of many that has few descriptors": {looked(to(est(15000)), socket.Look{Held: 15000, Holders: []socket.Holder{{Sockets: 900, OpenFiles: 1000, MaxFiles: 1024}}}),
			v1alpha1.CauseEstablishedPool, ""},
		"No state has most": {to(tcpstate.Counts{tcpstate.Established: 6000, tcpstate.TimeWait: 6000, tcpstate.CloseWait: 6000}),
			v1alpha1.CauseUnknown, "ESTABLISHED 6000, TIME_WAIT 6000, CLOSE_WAIT 6000"},
		"Nothing is wrong with ports": {loose(to(est(10))), v1alpha1.CausePoolNotTight, "28222 of 28232 are left"},
		"A full table":                {on(full, loose(to(est(10)))), v1alpha1.CauseConntrackFull, "nf_conntrack_max = 524288"},
		"A table that throws out":     {on(Machine{Conntrack: Conntrack{Evicted: 1}}, loose(to(est(10)))), v1alpha1.CauseConntrackFull, ""},
		"A table that only clashes":   {on(Machine{Conntrack: Conntrack{Gauge: Gauge{10, 100}, Refused: 1}}, loose(to(est(10)))), v1alpha1.CausePoolNotTight, "connection tracking 10 %"},
		"A node without descriptors":  {on(Machine{Files: Gauge{95, 100}}, loose(to(est(10)))), v1alpha1.CauseFileDescriptors, "ENFILE"},
		"TCP without memory":          {on(Machine{TCPMemory: 0.97}, loose(to(est(10)))), v1alpha1.CauseSocketMemory, "97 %"},
		"Too many orphans":            {on(Machine{Orphans: Gauge{60000, 65536}}, loose(to(est(10)))), v1alpha1.CauseSocketMemory, "tcp_max_orphans = 131072"},
		"A nonpaged pool that is full": {windows(System{Windows: true}, on(Machine{Nonpaged: Gauge{11 << 30, 12 << 30}}, loose(to(est(10))))),
			v1alpha1.CauseSocketMemory, "has 11264 MiB, near the 12288 MiB that it may have: sockets fail with WSAENOBUFS"},
		"Memory that is all promised": {windows(System{Windows: true}, on(Machine{Nonpaged: Gauge{1 << 30, 12 << 30}, Commit: Gauge{23 << 30, 24 << 30}}, loose(to(est(10))))),
			v1alpha1.CauseSocketMemory, "promised 23552 MiB of 24576 MiB"},
		"Windows with memory": {windows(System{Windows: true}, on(Machine{Nonpaged: Gauge{1 << 30, 12 << 30}, Commit: Gauge{6 << 30, 24 << 30}}, loose(to(est(10))))),
			v1alpha1.CausePoolNotTight, "nonpaged pool 8 %, committed memory 25 %"},
		"Windows whose memory can't be read": {windows(System{Windows: true}, loose(to(est(10)))), v1alpha1.CausePoolNotTight, ""},
		"A full nonpaged pool beside a pool of ports that is tight": {windows(System{Windows: true}, on(Machine{Nonpaged: Gauge{11 << 30, 12 << 30}}, to(tw(16000), withRange(49152, 65535)))),
			v1alpha1.CauseTimeWaitChurn, ""},
		"Windows 2003": {windows(System{Windows: true, MaxUserPort: true, TimeWait: 2 * time.Minute}, to(tw(3900), withRange(1025, 5000))),
			v1alpha1.CauseNarrowRange, "MaxUserPort = 65534 (NodeTuning windows.maxUserPort) gives 60534 more ports; it needs a restart"},
		"Windows": {windows(System{Windows: true}, to(tw(16000), withRange(49152, 65535))),
			v1alpha1.CauseTimeWaitChurn, "are in TIME_WAIT. java"},
		"Windows with a wide range": {windows(System{Windows: true, TimeWait: 4 * time.Minute}, to(tw(64000), withRange(1025, 65535))),
			v1alpha1.CauseTimeWaitChurn, "TcpTimedWaitDelay = 30"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Judge(test.evidence)
			advice := got.Advice()
			if got.Cause != test.want || !strings.Contains(advice, test.says) {
				t.Errorf("%s: %s\nwant %s: …%s…", got.Cause, advice, test.want, test.says)
			}
			sound(t, got)
		})
	}
}

// sound checks what holds for every verdict.
func sound(t *testing.T, v Verdict) {
	t.Helper()
	advice := v.Advice()
	if len([]rune(advice)) > 520 {
		t.Errorf("%d characters: %s", len([]rune(advice)), advice)
	}
	for _, bad := range []string{"tcp_tw_recycle", "SO_LINGER", "tcp_max_tw_buckets", "  ", "%!", "..", "<nil>"} {
		if strings.Contains(advice, bad) {
			t.Errorf("%q in %q", bad, advice)
		}
	}
	if !strings.HasSuffix(advice, ".") {
		t.Errorf("no sentence: %q", advice)
	}
	if s := v.Setting; s != nil {
		known, ok := settings.Lookup(s.OS, s.Key)
		if !ok {
			t.Fatalf("%s is not in the catalogue of settings", s.Key)
		}
		if err := known.CheckValue(s.Value); err != nil {
			t.Error(err)
		}
	}
}

// A pool of bind(0) has ports that connections to any destination hold.
func TestPoolsOfBind(t *testing.T) {
	tests := map[string]struct {
		states    []tcpstate.Counts // by destination
		bound     int
		listening int
		want      v1alpha1.Cause
	}{
		"Connections hold the ports that bind(0) needs": {[]tcpstate.Counts{{tcpstate.Established: 10000}, {tcpstate.TimeWait: 10000}}, 5000, 0, v1alpha1.CauseBoundPorts},
		"Those to one destination do":                   {[]tcpstate.Counts{{tcpstate.TimeWait: 15000}, {tcpstate.TimeWait: 5000}}, 5000, 0, v1alpha1.CauseTimeWaitChurn},
		"A leak to several":                             {[]tcpstate.Counts{{tcpstate.CloseWait: 10000}, {tcpstate.CloseWait: 10000}}, 5000, 0, v1alpha1.CauseCloseWaitLeak},
		"Listeners do":                                  {nil, 3000, 20000, v1alpha1.CauseListenerInRange},
		"Only bind() does":                              {nil, 20000, 0, v1alpha1.CauseBoundPorts},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n := &socket.Network{Settings: standard}
			for i, states := range test.states {
				n.Destinations = append(n.Destinations, socket.Destination{Source: home, Address: peer, Port: uint16(i), States: states})
				n.States.Add(states)
			}
			bound(test.bound, test.listening)(n)
			e := Evidence{Pool: pools(n)[0], Tight: true}
			if len(test.states) > 0 && e.Pool.Kind != socket.Bind {
				t.Fatalf("the tightest pool is %+v", e.Pool)
			}
			if got := Judge(e); got.Cause != test.want {
				t.Errorf("%s: %s, want %s", got.Cause, got.Advice(), test.want)
			}
		})
	}
}

func TestUDPPortsAreBoundPorts(t *testing.T) {
	e := to(tcpstate.Counts{})
	e.Pool.Network.UDPHeld, e.Pool.Network.UDPSockets = 20000, 20010
	e.Pool, _ = e.Pool.Network.UDPPool()
	if got := Judge(e); got.Cause != v1alpha1.CauseBoundPorts || !strings.Contains(got.Finding, "20010 UDP sockets hold 20000 of 28232 ports") {
		t.Errorf("%s: %s", got.Cause, got.Finding)
	}
}

func TestWiderRanges(t *testing.T) {
	tests := map[string]struct {
		kind        socket.OwnerKind
		first, last uint16
		want        string
		ports       int
	}{
		"A pod's default":                  {socket.OwnerPod, 32768, 60999, "16384 65535", 49152 - 28232},
		"The node's, less its node ports":  {socket.OwnerHost, 32768, 60999, "16384 65535", 49152 - 2768 - 28232},
		"Wide already: low ports are left": {socket.OwnerPod, 16384, 65535, "1024 65535", 64512 - 49152},
		"As wide as can be":                {socket.OwnerPod, 1024, 65535, "", 0},
		"Hardly more to gain":              {socket.OwnerPod, 5000, 65535, "", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := to(tcpstate.Counts{}, withRange(test.first, test.last), func(n *socket.Network) { n.Owner.Kind = test.kind })
			got := e.wider()
			if got == nil {
				got = &Setting{}
			}
			if got.Value != test.want || got.Ports != test.ports {
				t.Errorf("%q gives %d, want %q and %d", got.Value, got.Ports, test.want, test.ports)
			}
			if low := strings.HasPrefix(got.Value, "1024"); low != strings.Contains(got.Note, "below 16384") {
				t.Errorf("%s: %q", got.Value, got.Note)
			}
		})
	}
}

// Where it is not known which ports bind() took (Windows), a destination is judged
// by its own connections only if they are what fills the pool.
func TestPoolsThatAreNotCertain(t *testing.T) {
	tests := map[string]struct {
		own, others tcpstate.Counts
		want        v1alpha1.Cause
		says        string
	}{
		"The destination has most": {tcpstate.Counts{tcpstate.CloseWait: 12000}, tcpstate.Counts{tcpstate.TimeWait: 3000}, v1alpha1.CauseCloseWaitLeak, "to 10.0.0.9:5432"},
		"The others have most":     {tcpstate.Counts{tcpstate.CloseWait: 2000}, tcpstate.Counts{tcpstate.TimeWait: 13000}, v1alpha1.CauseTimeWaitChurn, "13000 of 28232 ports are in TIME_WAIT"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := to(test.own, func(n *socket.Network) {
				n.BindUnknown, n.Held = true, test.own.Total()+test.others.Total()
				n.Destinations = append(n.Destinations, socket.Destination{Source: home, Address: peer, Port: 81, States: test.others})
			})
			for p := range e.Pool.Network.Pools() {
				if p.Destination == &e.Pool.Network.Destinations[0] {
					e.Pool = p
				}
			}
			if got := Judge(e); got.Cause != test.want || !strings.Contains(got.Finding, test.says) {
				t.Errorf("%s: %s", got.Cause, got.Finding)
			}
		})
	}
}
func TestTheRateThatWasMeasuredIsSaid(t *testing.T) {
	e := to(tcpstate.Counts{tcpstate.TimeWait: 20000})
	e.OpensPerSecond = new(612.4)
	if got := Judge(e); !strings.Contains(got.Finding, "about 612 connections a second") {
		t.Error(got.Finding)
	}
}
