package cause

import (
	"fmt"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/tcpstate"
)

// evaluateCloseWaitLeak: the peer closed, and the program doesn't call close(). CLOSE_WAIT
// has no time-out; with SO_KEEPALIVE a probe ends it once the peer has forgotten the
// connection, and the descriptor leaks on.
func evaluateCloseWaitLeak(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	n := p.countStates(tcpstate.CloseWait)
	return Diagnosis{
		Cause:   v1alpha1.CauseCloseWaitLeak,
		Finding: e.formatShare(n, "are in CLOSE_WAIT: the peer has closed, and "+e.formatHolder()+" has not."),
		Remedy:  "Fix the application: close() when a read says end of file, on error paths too. A restart frees the ports; a wider range only delays the end, and CLOSE_WAIT has no time-out.",
	}, p.isMajority(n)
}

// evaluateFinWaitOrphans: the program closed, and the peer does not finish. tcp_fin_timeout
// ends FIN_WAIT2 only where no process holds the socket any more.
func evaluateFinWaitOrphans(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	one := p.countStates(tcpstate.FinWait1, tcpstate.Closing, tcpstate.LastAck)
	two := p.countStates(tcpstate.FinWait2)
	v := Diagnosis{Cause: v1alpha1.CauseFinWaitOrphans}
	switch {
	case one > two:
		v.Finding = e.formatShare(one+two, "are closing, and the peer does not even acknowledge it (FIN_WAIT1, LAST_ACK, CLOSING): it is gone or cut off.")
		v.Remedy = "Check the peer and what lies between, such as a firewall that forgets connections."
		v.Setting = e.newSysctl(settings.KeyTCPOrphanRetries, "3", "the kernel then gives up after seconds")
	case e.PoolDetail != nil && p.isMajority(e.PoolDetail.ProcessSockets):
		v.Finding = e.formatShare(one+two, "are in FIN_WAIT2: "+e.formatHolder()+" shut its side down, the peer has not closed, and the sockets are still open here.")
		v.Remedy = "Fix the application: close() after shutdown(), with a time-out. tcp_fin_timeout does nothing for sockets that a process holds."
	default:
		v.Finding = e.formatShare(one+two, "are in FIN_WAIT2: "+e.formatHolder()+" has closed, and the peer has not.")
		v.Remedy = "Fix the peer, which has as many sockets in CLOSE_WAIT: it should close() at end of file."
		v.Setting = e.suggestFinTimeout()
	}
	return v, p.isMajority(one + two)
}

// suggestFinTimeout is nil where it is short already.
func (e *Evidence) suggestFinTimeout() *Setting {
	const seconds = 20
	now := e.Pool.Network.Settings.FinTimeout.Seconds()
	if now <= seconds {
		return nil
	}
	return e.newSysctl(settings.KeyTCPFinTimeout, fmt.Sprint(seconds), fmt.Sprintf("it is %.0f now", now))
}

// evaluateHalfOpen: at least half of the open connections wait for an answer that does not
// come. Silence alone is no proof: an idle peer is silent too.
func evaluateHalfOpen(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	n := p.countStates(tcpstate.Established)
	l := e.PoolDetail
	if l == nil || !p.isMajority(n) || l.Established == 0 || 2*l.Unanswered < l.Established {
		return Diagnosis{}, false
	}
	v := Diagnosis{
		Cause:   v1alpha1.CauseHalfOpen,
		Finding: e.formatShare(n, fmt.Sprintf("are ESTABLISHED, and %d of %d get no answer: their peers are gone.", l.Unanswered, l.Established)),
		Remedy:  "Set TCP_USER_TIMEOUT or a read time-out in " + e.formatHolder() + ".",
	}
	switch {
	case 2*l.Silent < l.Established: // they sent data lately, and send it again
		v.Setting = e.newSysctl(settings.KeyTCPRetries2, "8", "the kernel then gives up after some 100 s, not 15 minutes")
	case 2*l.NoKeepAlive >= l.Silent:
		v.Remedy = "Turn on SO_KEEPALIVE and set TCP_USER_TIMEOUT or a read time-out in " + e.formatHolder() + ": without the option no keep-alive setting has an effect."
	default:
		v.Setting = e.suggestKeepAlive()
	}
	return v, true
}

func (e *Evidence) suggestKeepAlive() *Setting {
	const note = "the default finds out after more than 2 hours"
	if e.System.IsWindows {
		return &Setting{OS: settings.Windows, Key: settings.KeyKeepAliveTime, Value: "300000", Note: note}
	}
	return e.newSysctl(settings.KeyTCPKeepaliveTime, "300", note)
}
