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

// newEvidence returns evidence about the only destination of a pod, with these states.
func newEvidence(states tcpstate.Counts, change ...func(*socket.Network)) Evidence {
	n := &socket.Network{
		Owner: socket.Owner{Kind: socket.OwnerPod}, Settings: standard, States: states,
		Destinations: []socket.Destination{{Source: home, Address: peer, Port: 5432, States: states}},
	}
	for _, c := range change {
		c(n)
	}
	return Evidence{Pool: sortPools(n)[0], Network: "shop/api", AboveThreshold: true,
		Holder: &v1alpha1.Holder{Namespace: "shop", Pod: "api", Process: "java", PID: 4711}}
}

// sortPools returns the pools of n, the tightest first.
func sortPools(n *socket.Network) []socket.Pool {
	return socket.SelectTightest(n.Pools(), -1)
}

func withPoolDetail(e Evidence, l socket.PoolDetail) Evidence {
	e.PoolDetail = &l
	return e
}

func withBinds(count, listening int) func(*socket.Network) {
	return func(n *socket.Network) {
		n.Skipped, n.SkippedListening = count+listening, listening
		n.InUse = n.Skipped + n.States.Total()
	}
}

func withRange(first, last uint16) func(*socket.Network) {
	return func(n *socket.Network) { n.Settings.Range = ports.Range{First: first, Last: last} }
}

func onMachine(m Machine, e Evidence) Evidence {
	e.Machine = m
	return e
}

func belowThreshold(e Evidence) Evidence {
	e.AboveThreshold = false
	return e
}

func onSystem(s System, e Evidence) Evidence {
	e.System = s
	return e
}

func TestEvaluatePool(t *testing.T) {
	est := func(n uint32) tcpstate.Counts { return tcpstate.Counts{tcpstate.Established: n} }
	tw := func(n uint32) tcpstate.Counts { return tcpstate.Counts{tcpstate.TimeWait: n} }
	reusable := func(now, all uint32) func(*socket.Network) {
		return func(n *socket.Network) { n.Destinations[0].Reusable, n.Destinations[0].ReusableIfAll = now, all }
	}
	full := Machine{Conntrack: Conntrack{Usage: Usage{262144, 262144}, RecentDrops: 900}}
	tests := map[string]struct {
		evidence Evidence
		want     v1alpha1.Cause
		advice   string // a part of it
	}{
		"Most in TIME_WAIT": {newEvidence(tcpstate.Counts{tcpstate.TimeWait: 20000, tcpstate.Established: 900}),
			v1alpha1.CauseTimeWaitChurn, "about 328 connections per second are opened and closed, and the pool sustains 463"},
		"Reusable TIME_WAIT": {newEvidence(tw(20000), reusable(0, 15000)),
			v1alpha1.CauseReusePossible, "tcp_tw_reuse = 1 (NodeTuning linux.timeWait.reuse) gives 15000 more ports"},
		"TIME_WAIT, little of it reusable": {newEvidence(tw(20000), reusable(0, 9000)), v1alpha1.CauseTimeWaitChurn, ""},
		"TIME_WAIT that is reused already": {newEvidence(tw(28000), reusable(8000, 8000)), v1alpha1.CauseTimeWaitChurn, "20000 of 28232"},
		"Half in CLOSE_WAIT": {newEvidence(tcpstate.Counts{tcpstate.CloseWait: 10000, tcpstate.TimeWait: 10000}),
			v1alpha1.CauseCloseWaitLeak, "the peer has closed the connection, but java (pid 4711) of shop/api has not"},
		"FIN_WAIT2 of orphans": {newEvidence(tcpstate.Counts{tcpstate.FinWait2: 15000}), v1alpha1.CauseFinWaitOrphans, "tcp_fin_timeout = 20 (NodeTuning linux.finTimeoutSeconds) helps; it is 60 now"},
		"FIN_WAIT2 of a process": {withPoolDetail(newEvidence(tcpstate.Counts{tcpstate.FinWait2: 15000}), socket.PoolDetail{ProcessSockets: 15000}),
			v1alpha1.CauseFinWaitOrphans, "has no effect on sockets that still belong to a process"},
		"FIN_WAIT1": {newEvidence(tcpstate.Counts{tcpstate.FinWait1: 15000}), v1alpha1.CauseFinWaitOrphans, "tcp_orphan_retries"},
		"SYN_SENT":  {newEvidence(tcpstate.Counts{tcpstate.SynSent: 15000}), v1alpha1.CauseSynSentStall, "the peer does not answer"},
		"SYN_SENT with a full conntrack table": {onMachine(full, newEvidence(tcpstate.Counts{tcpstate.SynSent: 15000})),
			v1alpha1.CauseConntrackFull, "900 packets were dropped recently"},
		"TIME_WAIT with a full conntrack table": {onMachine(full, newEvidence(tw(15000))), v1alpha1.CauseTimeWaitChurn, ""},
		"SYN_SENT to many destinations": {newEvidence(tcpstate.Counts{tcpstate.SynSent: 15000}, func(n *socket.Network) {
			for i := range byte(100) {
				n.Destinations = append(n.Destinations, socket.Destination{Address: netip.AddrFrom4([4]byte{10, 1, 0, i}), States: tcpstate.Counts{tcpstate.SynSent: 1}})
			}
		}), v1alpha1.CauseSynSentStall, "101 destinations do not answer: a program, or a worm, is scanning the network"},
		"Open connections":              {newEvidence(est(15000)), v1alpha1.CauseEstablishedPool, "gives 20920 more ports"},
		"Open connections of a sidecar": {newEvidence(est(15000), func(n *socket.Network) { n.Destinations[0].Source = sidecarSources[0] }), v1alpha1.CauseEstablishedPool, "The Istio sidecar (istio-proxy, envoy) of shop/api"},
		"Idle connections": {withPoolDetail(newEvidence(est(15000)), socket.PoolDetail{Established: 15000, Silent: 14000, LongestSilence: time.Hour}),
			v1alpha1.CauseIdleConnections, "14000 of 15000 have been idle for 60 s or more, one for 1h0m0s"},
		"Half-open connections": {withPoolDetail(newEvidence(est(15000)), socket.PoolDetail{Established: 15000, Silent: 15000, NoKeepAlive: 10, Unanswered: 9000}),
			v1alpha1.CauseHalfOpen, "tcp_keepalive_time"},
		"Half-open connections with unacknowledged data": {withPoolDetail(newEvidence(est(15000)), socket.PoolDetail{Established: 15000, Silent: 100, NoKeepAlive: 100, Unanswered: 9000}),
			v1alpha1.CauseHalfOpen, "tcp_retries2 = 8"},
		"Half-open connections without keep-alive": {withPoolDetail(newEvidence(est(15000)), socket.PoolDetail{Established: 15000, Silent: 15000, NoKeepAlive: 15000, Unanswered: 9000}),
			v1alpha1.CauseHalfOpen, "Enable SO_KEEPALIVE"},
		"A wide range":   {newEvidence(est(40000), withRange(1024, 65535)), v1alpha1.CauseFewSources, "gives 64512 more"},
		"A narrow range": {newEvidence(est(900), withRange(60000, 60999)), v1alpha1.CauseNarrowRange, "gives 48152 more ports"},
		"A mostly reserved range": {newEvidence(est(900), func(n *socket.Network) { n.Settings.Reserved = 27232 }),
			v1alpha1.CauseNarrowRange, "reserve fewer"},
		"A narrow range with more CLOSE_WAIT than any other state": {newEvidence(tcpstate.Counts{tcpstate.Established: 200, tcpstate.TimeWait: 200, tcpstate.CloseWait: 390}, withRange(60000, 60999)),
			v1alpha1.CauseUnknown, "CLOSE_WAIT 390"},
		"A narrow range full of CLOSE_WAIT": {newEvidence(tcpstate.Counts{tcpstate.CloseWait: 900}, withRange(60000, 60999)), v1alpha1.CauseCloseWaitLeak, "CLOSE_WAIT has no time-out"},
		"Ports taken by bind()":             {newEvidence(est(4000), withBinds(12000, 100)), v1alpha1.CauseBoundPorts, "12000 of them"},
		"Ports that services listen on":     {newEvidence(est(4000), withBinds(100, 12000), func(n *socket.Network) { n.ListenPorts = []uint16{40000, 40001} }), v1alpha1.CauseListenerInRange, "(40000, 40001…)"},
		"A holder near its file limit": {withPoolDetail(newEvidence(est(15000)), socket.PoolDetail{Holders: []socket.Holder{{Process: "java", OpenFiles: 15800, MaxFiles: 16384}}}),
			v1alpha1.CauseFileDescriptors, "15800 of 16384"},
		"A holder that may open more files than there are ports": {withPoolDetail(newEvidence(est(27000)), socket.PoolDetail{Holders: []socket.Holder{{OpenFiles: 60000, MaxFiles: 65536}}}),
			v1alpha1.CauseEstablishedPool, ""},
		"One of many holders near its file limit": {withPoolDetail(newEvidence(est(15000)), socket.PoolDetail{ProcessSockets: 15000, Holders: []socket.Holder{{Sockets: 900, OpenFiles: 1000, MaxFiles: 1024}}}),
			v1alpha1.CauseEstablishedPool, ""},
		"No dominant state": {newEvidence(tcpstate.Counts{tcpstate.Established: 6000, tcpstate.TimeWait: 6000, tcpstate.CloseWait: 6000}),
			v1alpha1.CauseUnknown, "ESTABLISHED 6000, TIME_WAIT 6000, CLOSE_WAIT 6000"},
		"A pool below the threshold":           {belowThreshold(newEvidence(est(10))), v1alpha1.CausePoolNotTight, "Every pool has free ports, 28222 of 28232 in the fullest (to 10.0.0.9:5432)"},
		"A full conntrack table":               {onMachine(full, belowThreshold(newEvidence(est(10)))), v1alpha1.CauseConntrackFull, "nf_conntrack_max = 524288"},
		"A conntrack table with evictions":     {onMachine(Machine{Conntrack: Conntrack{Evictions: 1}}, belowThreshold(newEvidence(est(10)))), v1alpha1.CauseConntrackFull, ""},
		"A conntrack table with a single drop": {onMachine(Machine{Conntrack: Conntrack{Usage: Usage{10, 100}, RecentDrops: 1}}, belowThreshold(newEvidence(est(10)))), v1alpha1.CausePoolNotTight, "connection tracking 10 %"},
		"A node near its file limit":           {onMachine(Machine{Files: Usage{95, 100}}, belowThreshold(newEvidence(est(10)))), v1alpha1.CauseFileDescriptors, "ENFILE"},
		"TCP near its memory limit":            {onMachine(Machine{TCPMemory: 0.97}, belowThreshold(newEvidence(est(10)))), v1alpha1.CauseSocketMemory, "97 %"},
		"Too many orphans":                     {onMachine(Machine{Orphans: Usage{60000, 65536}}, belowThreshold(newEvidence(est(10)))), v1alpha1.CauseSocketMemory, "tcp_max_orphans = 131072"},
		"A full nonpaged pool": {onSystem(System{IsWindows: true}, onMachine(Machine{Nonpaged: Usage{11 << 30, 12 << 30}}, belowThreshold(newEvidence(est(10))))),
			v1alpha1.CauseSocketMemory, "uses 11264 MiB, close to its limit of 12288 MiB: sockets fail with WSAENOBUFS"},
		"Fully committed memory": {onSystem(System{IsWindows: true}, onMachine(Machine{Nonpaged: Usage{1 << 30, 12 << 30}, Commit: Usage{23 << 30, 24 << 30}}, belowThreshold(newEvidence(est(10))))),
			v1alpha1.CauseSocketMemory, "committed 23552 MiB of 24576 MiB"},
		"Windows with free memory": {onSystem(System{IsWindows: true}, onMachine(Machine{Nonpaged: Usage{1 << 30, 12 << 30}, Commit: Usage{6 << 30, 24 << 30}}, belowThreshold(newEvidence(est(10))))),
			v1alpha1.CausePoolNotTight, "nonpaged pool 8 %, committed memory 25 %"},
		"Windows with unreadable memory counters": {onSystem(System{IsWindows: true}, belowThreshold(newEvidence(est(10)))), v1alpha1.CausePoolNotTight, ""},
		"A full nonpaged pool and a pool of ports above the threshold": {onSystem(System{IsWindows: true}, onMachine(Machine{Nonpaged: Usage{11 << 30, 12 << 30}}, newEvidence(tw(16000), withRange(49152, 65535)))),
			v1alpha1.CauseTimeWaitChurn, ""},
		"Windows 2003": {onSystem(System{IsWindows: true, UsesMaxUserPort: true, TimeWait: 2 * time.Minute}, newEvidence(tw(3900), withRange(1025, 5000))),
			v1alpha1.CauseNarrowRange, "MaxUserPort = 65534 (NodeTuning windows.maxUserPort) gives 60534 more ports; it requires a restart"},
		"Windows": {onSystem(System{IsWindows: true}, newEvidence(tw(16000), withRange(49152, 65535))),
			v1alpha1.CauseTimeWaitChurn, "are in TIME_WAIT. java"},
		"Windows with a wide range": {onSystem(System{IsWindows: true, TimeWait: 4 * time.Minute}, newEvidence(tw(64000), withRange(1025, 65535))),
			v1alpha1.CauseTimeWaitChurn, "TcpTimedWaitDelay = 30"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := EvaluatePool(test.evidence)
			advice := got.Advice()
			if got.Cause != test.want || !strings.Contains(advice, test.advice) {
				t.Errorf("%s: %s\nwant %s: …%s…", got.Cause, advice, test.want, test.advice)
			}
			checkDiagnosis(t, got)
		})
	}
}

// checkDiagnosis checks the invariants of every diagnosis.
func checkDiagnosis(t *testing.T, v Diagnosis) {
	t.Helper()
	advice := v.Advice()
	limit := 520
	if v.Cause == v1alpha1.CausePortRangeCollision { // it lists ports, and only on the machine itself
		limit = 1024
	}
	if len([]rune(advice)) > limit {
		t.Errorf("%d characters: %s", len([]rune(advice)), advice)
	}
	if strings.Contains(advice, "tcp_max_tw_buckets") && v.Cause != v1alpha1.CauseTimeWaitLimit {
		t.Errorf("the limit of TIME_WAIT in %q", advice)
	}
	for _, bad := range []string{"tcp_tw_recycle", "SO_LINGER", "  ", "%!", "..", "<nil>"} {
		if strings.Contains(advice, bad) {
			t.Errorf("%q in %q", bad, advice)
		}
	}
	if !strings.HasSuffix(advice, ".") {
		t.Errorf("not a sentence: %q", advice)
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

// Connections to any destination use ports of the bind(0) pool.
func TestPoolsOfBind(t *testing.T) {
	tests := map[string]struct {
		states    []tcpstate.Counts // by destination
		bound     int
		listening int
		want      v1alpha1.Cause
	}{
		"Connections to several destinations":   {[]tcpstate.Counts{{tcpstate.Established: 10000}, {tcpstate.TimeWait: 10000}}, 5000, 0, v1alpha1.CauseBoundPorts},
		"Connections mostly to one destination": {[]tcpstate.Counts{{tcpstate.TimeWait: 15000}, {tcpstate.TimeWait: 5000}}, 5000, 0, v1alpha1.CauseTimeWaitChurn},
		"A leak to several destinations":        {[]tcpstate.Counts{{tcpstate.CloseWait: 10000}, {tcpstate.CloseWait: 10000}}, 5000, 0, v1alpha1.CauseCloseWaitLeak},
		"Listeners":                             {nil, 3000, 20000, v1alpha1.CauseListenerInRange},
		"Only bind()":                           {nil, 20000, 0, v1alpha1.CauseBoundPorts},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n := &socket.Network{Settings: standard}
			for i, states := range test.states {
				n.Destinations = append(n.Destinations, socket.Destination{Source: home, Address: peer, Port: uint16(i), States: states})
				n.States.Add(states)
			}
			withBinds(test.bound, test.listening)(n)
			e := Evidence{Pool: sortPools(n)[0], AboveThreshold: true}
			if len(test.states) > 0 && e.Pool.Kind != socket.Bind {
				t.Fatalf("the tightest pool is %+v", e.Pool)
			}
			if got := EvaluatePool(e); got.Cause != test.want {
				t.Errorf("%s: %s, want %s", got.Cause, got.Advice(), test.want)
			}
		})
	}
}

func TestUDPPortsAreBoundPorts(t *testing.T) {
	e := newEvidence(tcpstate.Counts{})
	e.Pool.Network.UDPInUse, e.Pool.Network.UDPSockets = 20000, 20010
	e.Pool, _ = e.Pool.Network.UDPPool()
	if got := EvaluatePool(e); got.Cause != v1alpha1.CauseBoundPorts || !strings.Contains(got.Finding, "20010 UDP sockets use 20000 of 28232 ports") {
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
		"A pod's default":                    {socket.OwnerPod, 32768, 60999, "16384 65535", 49152 - 28232},
		"The node's, less its node ports":    {socket.OwnerHost, 32768, 60999, "16384 65535", 49152 - 2768 - 28232},
		"A wide range leaves only low ports": {socket.OwnerPod, 16384, 65535, "1024 65535", 64512 - 49152},
		"The widest range":                   {socket.OwnerPod, 1024, 65535, "", 0},
		"Too few ports to gain":              {socket.OwnerPod, 5000, 65535, "", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := newEvidence(tcpstate.Counts{}, withRange(test.first, test.last), func(n *socket.Network) { n.Owner.Kind = test.kind })
			got := e.suggestWiderRange()
			if got == nil {
				got = &SuggestedSetting{}
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

// Where ports taken by bind() are not known (Windows), a destination is evaluated by its own
// connections only if they fill most of the pool.
func TestPoolsWithBounds(t *testing.T) {
	tests := map[string]struct {
		own, others tcpstate.Counts
		want        v1alpha1.Cause
		finding     string // a part of it
	}{
		"Most to the destination":    {tcpstate.Counts{tcpstate.CloseWait: 12000}, tcpstate.Counts{tcpstate.TimeWait: 3000}, v1alpha1.CauseCloseWaitLeak, "to 10.0.0.9:5432"},
		"Most to other destinations": {tcpstate.Counts{tcpstate.CloseWait: 2000}, tcpstate.Counts{tcpstate.TimeWait: 13000}, v1alpha1.CauseTimeWaitChurn, "13000 of 28232 ports are in TIME_WAIT"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := newEvidence(test.own, func(n *socket.Network) {
				n.BindUnknown, n.InUse = true, test.own.Total()+test.others.Total()
				n.Destinations = append(n.Destinations, socket.Destination{Source: home, Address: peer, Port: 81, States: test.others})
			})
			for p := range e.Pool.Network.Pools() {
				if p.Destination == &e.Pool.Network.Destinations[0] {
					e.Pool = p
				}
			}
			if got := EvaluatePool(e); got.Cause != test.want || !strings.Contains(got.Finding, test.finding) {
				t.Errorf("%s: %s", got.Cause, got.Finding)
			}
		})
	}
}

func TestTheMeasuredRateIsInTheFinding(t *testing.T) {
	e := newEvidence(tcpstate.Counts{tcpstate.TimeWait: 20000})
	e.OpensPerSecond = new(612.4)
	if got := EvaluatePool(e); !strings.Contains(got.Finding, "about 612 connections per second") {
		t.Error(got.Finding)
	}
}
