package cause

import (
	"fmt"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/tcpstate"
)

// closeWaitLeak: the peer closed, and the program doesn't call close(). CLOSE_WAIT
// has no time-out; with SO_KEEPALIVE a probe ends it once the peer has forgotten the
// connection, and the descriptor leaks on.
func closeWaitLeak(e *Evidence, p parts) (Verdict, bool) {
	n := p.in(tcpstate.CloseWait)
	return Verdict{
		Cause:   v1alpha1.CauseCloseWaitLeak,
		Finding: e.holds(n, "are in CLOSE_WAIT: the peer has closed, and "+e.who()+" has not."),
		Remedy:  "Fix the application: close() when a read says end of file, on error paths too. A restart frees the ports; a wider range only delays the end, and CLOSE_WAIT has no time-out.",
	}, p.most(n)
}

// finWaitOrphans: the program closed, and the peer does not finish. tcp_fin_timeout
// ends FIN_WAIT2 only where no process holds the socket any more.
func finWaitOrphans(e *Evidence, p parts) (Verdict, bool) {
	one := p.in(tcpstate.FinWait1, tcpstate.Closing, tcpstate.LastAck)
	two := p.in(tcpstate.FinWait2)
	v := Verdict{Cause: v1alpha1.CauseFinWaitOrphans}
	switch {
	case one > two:
		v.Finding = e.holds(one+two, "are closing, and the peer does not even acknowledge it (FIN_WAIT1, LAST_ACK, CLOSING): it is gone or cut off.")
		v.Remedy = "Check the peer and what lies between, such as a firewall that forgets connections."
		v.Setting = e.sysctl(settings.KeyTCPOrphanRetries, "3", "the kernel then gives up after seconds")
	case e.Look != nil && p.most(e.Look.Held):
		v.Finding = e.holds(one+two, "are in FIN_WAIT2: "+e.who()+" shut its side down, the peer has not closed, and the sockets are still open here.")
		v.Remedy = "Fix the application: close() after shutdown(), with a time-out. tcp_fin_timeout does nothing for sockets that a process holds."
	default:
		v.Finding = e.holds(one+two, "are in FIN_WAIT2: "+e.who()+" has closed, and the peer has not.")
		v.Remedy = "Fix the peer, which has as many sockets in CLOSE_WAIT: it should close() at end of file."
		v.Setting = e.finTimeout()
	}
	return v, p.most(one + two)
}

// finTimeout is nil where it is short already.
func (e *Evidence) finTimeout() *Setting {
	const seconds = 20
	now := e.Pool.Network.Settings.FinTimeout.Seconds()
	if now <= seconds {
		return nil
	}
	return e.sysctl(settings.KeyTCPFinTimeout, fmt.Sprint(seconds), fmt.Sprintf("it is %.0f now", now))
}

// halfOpen: at least half of the open connections wait for an answer that does not
// come. Silence alone is no proof: an idle peer is silent too.
func halfOpen(e *Evidence, p parts) (Verdict, bool) {
	n := p.in(tcpstate.Established)
	l := e.Look
	if l == nil || !p.most(n) || l.Established == 0 || 2*l.Unanswered < l.Established {
		return Verdict{}, false
	}
	v := Verdict{
		Cause:   v1alpha1.CauseHalfOpen,
		Finding: e.holds(n, fmt.Sprintf("are ESTABLISHED, and %d of %d get no answer: their peers are gone.", l.Unanswered, l.Established)),
		Remedy:  "Set TCP_USER_TIMEOUT or a read time-out in " + e.who() + ".",
	}
	switch {
	case 2*l.Silent < l.Established: // they sent data lately, and send it again
		v.Setting = e.sysctl(settings.KeyTCPRetries2, "8", "the kernel then gives up after some 100 s, not 15 minutes")
	case 2*l.NoKeepAlive >= l.Silent:
		v.Remedy = "Turn on SO_KEEPALIVE and set TCP_USER_TIMEOUT or a read time-out in " + e.who() + ": without the option no keep-alive setting has an effect."
	default:
		v.Setting = e.keepAlive()
	}
	return v, true
}

func (e *Evidence) keepAlive() *Setting {
	const note = "the default finds out after more than 2 hours"
	if e.System.Windows {
		return &Setting{OS: settings.Windows, Key: settings.KeyKeepAliveTime, Value: "300000", Note: note}
	}
	return e.sysctl(settings.KeyTCPKeepaliveTime, "300", note)
}
