package cause

import (
	"fmt"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/tcpstate"
)

// timeWaitLength is TCP_TIMEWAIT_LEN (include/net/tcp.h).
const timeWaitLength = 60 * time.Second

// timeWait is 0 where the length is not known.
func (s System) timeWait() time.Duration {
	if s.TimeWait == 0 && !s.Windows {
		return timeWaitLength
	}
	return s.TimeWait
}

// timeWaitChurn: TIME_WAIT fills most of the pool. The rate at which connections
// can be opened for ever is capacity / length of TIME_WAIT.
func timeWaitChurn(e *Evidence, p parts) (Verdict, bool) {
	n := p.in(tcpstate.TimeWait)
	v := Verdict{
		Cause:   v1alpha1.CauseTimeWaitChurn,
		Finding: e.holds(n, "are in TIME_WAIT"+e.rates(n)+"."),
		Remedy:  e.subject() + " should reuse connections (keep-alive, a pool) or let the peer close first.",
		Setting: e.wider(),
	}
	if v.Setting == nil && e.System.Windows {
		v.Setting = &Setting{OS: settings.Windows, Key: settings.KeyTCPTimedWaitDelay, Value: "30", Note: "it needs a restart"}
	}
	return v, p.most(n)
}

// rates is how many connections are opened, as measured or as n sockets in
// TIME_WAIT stand for, and how many the pool sustains; empty where neither is known.
func (e *Evidence) rates(n int) string {
	s := e.System.timeWait().Seconds()
	if s == 0 {
		return ""
	}
	opens := float64(n) / s
	if e.OpensPerSecond != nil {
		opens = *e.OpensPerSecond
	}
	return fmt.Sprintf(": about %.0f connections a second are opened and closed, and the pool sustains %.0f", opens, float64(e.Pool.Capacity)/s)
}

// reusePossible: TIME_WAIT fills most of the pool, and connect() would take over at
// least half of that if it were allowed to (net.ipv4.tcp_tw_reuse = 1).
func reusePossible(e *Evidence, p parts) (Verdict, bool) {
	d, n := e.Pool.Destination, p.in(tcpstate.TimeWait)
	if d == nil || d.ReusableIfAll <= d.Reusable || !p.most(n) {
		return Verdict{}, false
	}
	freed := int(d.ReusableIfAll - d.Reusable)
	return Verdict{
		Cause:   v1alpha1.CauseReusePossible,
		Finding: e.holds(n, fmt.Sprintf("are in TIME_WAIT, and the kernel could reuse %d of them now.", freed)),
		Remedy:  e.subject() + " should reuse connections; until then let the kernel reuse TIME_WAIT, which timestamps make safe.",
		Setting: &Setting{OS: settings.Linux, Key: settings.KeyTCPTWReuse, Value: "1", Ports: freed},
	}, 2*freed >= n
}

// synSentStall: the peer does not answer. With many destinations in SYN_SENT it is
// rather somebody who tries addresses that nobody has.
func synSentStall(e *Evidence, p parts) (Verdict, bool) {
	n := p.in(tcpstate.SynSent)
	v := Verdict{
		Cause:   v1alpha1.CauseSynSentStall,
		Finding: e.holds(n, "wait in SYN_SENT: the peer does not answer."),
		Remedy:  "Check that the peer is up, the route, and firewalls and network policies that drop instead of refusing; give " + e.who() + " a short connect time-out.",
		Setting: e.sysctl(settings.KeyTCPSynRetries, "3", "attempts then end after seconds, not minutes"),
	}
	if many := synSentDestinations(e.Pool.Network); many >= manyDestinations {
		v.Finding = e.holds(n, fmt.Sprintf("wait in SYN_SENT, and %d destinations do not answer: something scans the network, or a worm does.", many))
		v.Remedy, v.Setting = "Find out what "+e.who()+" does; if nobody means it to, isolate it.", nil
	}
	return v, p.most(n)
}

// manyDestinations is how many peers are down at once only for somebody who
// guesses their addresses.
const manyDestinations = 100

func synSentDestinations(n *socket.Network) int {
	count := 0
	for i := range n.Destinations {
		if n.Destinations[i].States[tcpstate.SynSent] > 0 {
			count++
		}
	}
	return count
}
