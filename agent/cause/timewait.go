package cause

import (
	"cmp"
	"fmt"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/tcpstate"
)

// timeWaitLength is the mean duration of TIME_WAIT on Linux: TCP_TIMEWAIT_LEN
// (include/net/tcp.h), and the second that the timer wheel adds (60.0 to 62.1 s, measured with
// HZ 250).
const timeWaitLength = 61 * time.Second

// findTimeWait returns the duration of TIME_WAIT, 0 if it is not known.
func (s System) findTimeWait() time.Duration {
	if s.TimeWait == 0 && !s.IsWindows {
		return timeWaitLength
	}
	return s.TimeWait
}

// evaluateTimeWaitChurn matches if TIME_WAIT fills most of the pool. The sustainable rate
// of new connections is capacity / duration of TIME_WAIT.
func evaluateTimeWaitChurn(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	n := p.countStates(tcpstate.TimeWait)
	d := Diagnosis{
		Cause:   v1alpha1.CauseTimeWaitChurn,
		Finding: e.formatShare(n, "are in TIME_WAIT"+e.formatRates(n)+"."),
		Remedy:  e.formatSubject() + " should reuse connections (keep-alive, a pool) or let the peer close first.",
		Setting: e.suggestWiderRange(),
	}
	if reason, setting := e.explainMissingReuse(n); reason != "" {
		d.Finding += " " + reason
		d.Setting = cmp.Or(setting, d.Setting)
	}
	if d.Setting == nil && e.System.IsWindows {
		d.Setting = &SuggestedSetting{OS: settings.Windows, Key: timedWait, Value: "30", Note: "it requires a restart"}
	}
	return d, p.isMajority(n)
}

// explainMissingReuse returns the reason why connect() does not take over most of n sockets in
// TIME_WAIT although net.ipv4.tcp_tw_reuse allows it, and the setting that helps; empty if it
// does not allow it, or if the reason is not known.
func (e *Evidence) explainMissingReuse(n int) (string, *SuggestedSetting) {
	s, dst := e.Pool.Network.Settings, e.Pool.Destination
	isKnown := s.MaxTimeWait > 0 // the reader has the namespace's settings
	if e.System.IsWindows || dst == nil || !isKnown {
		return "", nil
	}
	allows := s.Reuse == socket.ReuseAll || s.Reuse == socket.ReuseLoopback && (dst.Source.IsLoopback() || dst.Address.IsLoopback())
	switch {
	case !s.Timestamps && allows:
		return "The kernel does not reuse TIME_WAIT because net.ipv4.tcp_timestamps is 0 here.",
			e.newSysctl(settings.KeyTCPTimestamps, "1", "tcp_tw_reuse then takes over TIME_WAIT that is older than a second")
	case !s.Timestamps:
		return "tcp_tw_reuse would not help, because net.ipv4.tcp_timestamps is 0 here.", nil
	case !allows || 2*int(dst.ReusableIfAll-dst.Reusable) >= n:
		return "", nil
	}
	young := float64(n) // if the rate is not known
	if e.OpensPerSecond != nil {
		young = *e.OpensPerSecond * s.ReuseDelay.Seconds()
	}
	if 2*young < float64(n) {
		return "The kernel does not reuse TIME_WAIT because the peer sends no TCP timestamps.", nil
	}
	return "The kernel does not reuse TIME_WAIT that is younger than a second, or whose peer sends no TCP timestamps.", nil
}

// formatRates returns the rate at which connections are opened, measured or estimated from
// n sockets in TIME_WAIT, and the sustainable rate; empty if the latter is not known.
func (e *Evidence) formatRates(n int) string {
	seconds := e.System.findTimeWait().Seconds()
	if seconds == 0 {
		return ""
	}
	opens := float64(n) / seconds
	if e.OpensPerSecond != nil {
		opens = *e.OpensPerSecond
	}
	return fmt.Sprintf(": about %.0f connections per second are opened and closed, and the pool sustains %.0f",
		opens, float64(e.Pool.Capacity)/seconds)
}

// evaluateReusePossible matches if TIME_WAIT fills most of the pool, and connect() would
// take over at least half of that if it were allowed to (net.ipv4.tcp_tw_reuse = 1).
func evaluateReusePossible(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	dst, n := e.Pool.Destination, p.countStates(tcpstate.TimeWait)
	if e.System.IsWindows || dst == nil || dst.ReusableIfAll <= dst.Reusable || !p.isMajority(n) {
		return Diagnosis{}, false
	}
	freed := int(dst.ReusableIfAll - dst.Reusable)
	return Diagnosis{
		Cause:   v1alpha1.CauseReusePossible,
		Finding: e.formatShare(n, fmt.Sprintf("are in TIME_WAIT, and the kernel could reuse %d of them now.", freed)),
		Remedy:  e.formatSubject() + " should reuse connections; until then let the kernel reuse TIME_WAIT, which is safe with TCP timestamps.",
		Setting: &SuggestedSetting{OS: settings.Linux, Key: settings.KeyTCPTWReuse, Value: "1", Ports: freed},
	}, 2*freed >= n
}

// evaluateSYNSentStall matches if the peer does not answer. Many destinations in SYN_SENT
// indicate a program that tries unused addresses.
func evaluateSYNSentStall(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	n := p.countStates(tcpstate.SynSent)
	d := Diagnosis{
		Cause:   v1alpha1.CauseSynSentStall,
		Finding: e.formatShare(n, "are waiting in SYN_SENT: the peer does not answer."),
		Remedy:  "Check that the peer is up, the route, and firewalls and network policies that drop instead of rejecting; set a short connect time-out in " + e.formatHolder() + ".",
		Setting: e.newSysctl(settings.KeyTCPSynRetries, "3", "attempts then end after seconds, not minutes"),
	}
	if count := countSYNSentDestinations(e.Pool.Network); count >= scanDestinations {
		d.Finding = e.formatShare(n, fmt.Sprintf("are waiting in SYN_SENT, and %d destinations do not answer: a program, or a worm, is scanning the network.", count))
		d.Remedy, d.Setting = "Find out what "+e.formatHolder()+" is doing; if that is not intended, isolate it.", nil
	}
	return d, p.isMajority(n)
}

// scanDestinations is the number of unresponsive destinations from which a network scan is
// more likely than peers that are down.
const scanDestinations = 100

func countSYNSentDestinations(n *socket.Network) int {
	count := 0
	for i := range n.Destinations {
		if n.Destinations[i].States[tcpstate.SynSent] > 0 {
			count++
		}
	}
	return count
}
