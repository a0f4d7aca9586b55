package cause

import (
	"fmt"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/tcpstate"
)

// evaluateCloseWaitLeak matches if the peer closed and the program doesn't call close().
// CLOSE_WAIT has no time-out. With SO_KEEPALIVE a probe ends it once the peer has forgotten
// the connection, but the file descriptor remains open.
func evaluateCloseWaitLeak(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	n := p.countStates(tcpstate.CloseWait)
	return Diagnosis{
		Cause:   v1alpha1.CauseCloseWaitLeak,
		Finding: e.formatShare(n, "are in CLOSE_WAIT: the peer has closed the connection, but "+e.formatHolder()+" has not."),
		Remedy:  "Fix the application: call close() when a read returns end of file, on error paths too. A restart frees the ports; a wider range only delays exhaustion, and CLOSE_WAIT has no time-out.",
	}, p.isMajority(n)
}

// evaluateFinWaitOrphans matches if the program closed and the peer does not complete the
// close. tcp_fin_timeout ends FIN_WAIT2 only for sockets that no longer belong to a process.
// Windows' tables name the process of a connection that it has closed, too.
func evaluateFinWaitOrphans(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	one := p.countStates(tcpstate.FinWait1, tcpstate.Closing, tcpstate.LastAck)
	two := p.countStates(tcpstate.FinWait2)
	d := Diagnosis{Cause: v1alpha1.CauseFinWaitOrphans}
	switch {
	case one > two:
		d.Finding = e.formatShare(one+two, "are closing without an acknowledgement from the peer (FIN_WAIT1, LAST_ACK, CLOSING): it is down or unreachable.")
		d.Remedy = "Check the peer and the network path, for example for a firewall that drops idle connections."
		d.Setting = e.newSysctl(settings.KeyTCPOrphanRetries, "3", "the kernel then gives up after seconds")
	case e.PoolDetail != nil && !e.System.IsWindows && p.isMajority(e.PoolDetail.ProcessSockets):
		d.Finding = e.formatShare(one+two, "are in FIN_WAIT2: "+e.formatHolder()+" called shutdown() but not close(), and the peer has not closed the connection.")
		d.Remedy = "Fix the application: call close() after shutdown(), with a time-out. tcp_fin_timeout has no effect on sockets that still belong to a process."
	default:
		d.Finding = e.formatShare(one+two, "are in FIN_WAIT2: "+e.formatHolder()+" has closed the connection, but the peer has not.")
		d.Remedy = "Fix the peer, which has as many sockets in CLOSE_WAIT: it should call close() at end of file."
		d.Setting = e.suggestFinTimeout()
	}
	return d, p.isMajority(one + two)
}

// suggestFinTimeout returns nil if the time-out is already short.
func (e *Evidence) suggestFinTimeout() *SuggestedSetting {
	const seconds = 20
	now := e.Pool.Network.Settings.FinTimeout.Seconds()
	if now <= seconds {
		return nil
	}
	return e.newSysctl(settings.KeyTCPFinTimeout, fmt.Sprint(seconds), fmt.Sprintf("it is %.0f now", now))
}

// evaluateHalfOpen matches if at least half of the open connections wait for an answer
// that does not arrive. Silence alone proves nothing: an idle peer is silent too.
func evaluateHalfOpen(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	n := p.countStates(tcpstate.Established)
	detail := e.PoolDetail
	if detail == nil || !p.isMajority(n) || detail.Established == 0 || 2*detail.Unanswered < detail.Established {
		return Diagnosis{}, false
	}
	d := Diagnosis{
		Cause: v1alpha1.CauseHalfOpen,
		Finding: e.formatShare(n, fmt.Sprintf("are ESTABLISHED, and %d of %d get no answer: their peers are gone.",
			detail.Unanswered, detail.Established)),
		Remedy: "Set " + e.System.nameUserTimeout() + " or a read time-out in " + e.formatHolder() + ".",
	}
	switch {
	case 2*detail.Silent < detail.Established: // they sent data recently and are retransmitting it
		d.Setting = e.newSysctl(settings.KeyTCPRetries2, "8", "the kernel then gives up after about 100 s, not 15 minutes")
	case 2*detail.NoKeepAlive >= detail.Silent:
		d.Remedy = "Enable SO_KEEPALIVE and set " + e.System.nameUserTimeout() + " or a read time-out in " + e.formatHolder() + ": without SO_KEEPALIVE no keep-alive setting has an effect."
	default:
		d.Setting = e.suggestKeepAlive()
	}
	return d, true
}

// nameUserTimeout returns the socket option that limits how long data may remain
// unacknowledged.
func (s System) nameUserTimeout() string {
	if s.IsWindows {
		return "TCP_MAXRT"
	}
	return "TCP_USER_TIMEOUT"
}

func (e *Evidence) suggestKeepAlive() *SuggestedSetting {
	const note = "the default detects a lost peer only after more than 2 hours"
	if e.System.IsWindows {
		return &SuggestedSetting{OS: settings.Windows, Key: keepAliveTime, Value: "300000", Note: note}
	}
	return e.newSysctl(settings.KeyTCPKeepaliveTime, "300", note)
}
