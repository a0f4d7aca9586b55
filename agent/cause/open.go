package cause

import (
	"fmt"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/tcpstate"
)

// establishedPool: open connections, which are in use as far as is known.
func establishedPool(e *Evidence, p parts) (Verdict, bool) {
	n := p.in(tcpstate.Established)
	return Verdict{
		Cause:   v1alpha1.CauseEstablishedPool,
		Finding: e.holds(n, "hold open connections."),
		Remedy:  e.subject() + " should share connections (a bounded pool, HTTP/2) or spread them over more destination addresses.",
		Setting: e.wider(),
	}, p.most(n)
}

// idleConnections: most of the open connections have carried nothing for a while.
func idleConnections(e *Evidence, p parts) (Verdict, bool) {
	n := p.in(tcpstate.Established)
	l := e.Look
	if l == nil || !p.most(n) || l.Established == 0 || 2*l.Silent < l.Established {
		return Verdict{}, false
	}
	return Verdict{
		Cause: v1alpha1.CauseIdleConnections,
		Finding: e.holds(n, fmt.Sprintf("hold open connections, and %d of %d have been silent for %.0f s or more, one for %s.",
			l.Silent, l.Established, socket.SilentAfter.Seconds(), l.LongestSilence.Round(time.Second))),
		Remedy: "Give " + e.who() + " fewer idle connections: a smaller pool, an idle time-out, connections given back after use; or let the server end idle ones.",
	}, true
}

// fewSources: the range is about as wide as it gets, so more ports can only come
// from more addresses.
func fewSources(e *Evidence, p parts) (Verdict, bool) {
	d, n := e.Pool.Destination, p.in(tcpstate.Established)
	if d == nil || !p.most(n) || e.Pool.Network.Settings.Range.Len() < wide {
		return Verdict{}, false
	}
	return Verdict{
		Cause:   v1alpha1.CauseFewSources,
		Finding: e.holds(n, fmt.Sprintf("hold open connections, all from %s: the range %v is wide already.", d.Source, e.Pool.Network.Settings.Range)),
		Remedy:  fmt.Sprintf("Each further source address, destination address or destination port gives %d more; or let %s share connections (HTTP/2).", e.Pool.Capacity, e.who()),
	}, true
}

// wide is the size from which a range is wide: 16384 to 65535 without node ports.
const wide = 45000

// narrowRange: what fills the pool, and no leak beside it is greater, is a load that
// a wider range would carry below half. So the range is what is wrong.
func narrowRange(e *Evidence, p parts) (Verdict, bool) {
	s, open, waiting := e.Pool.Network.Settings, p.in(tcpstate.Established), p.in(tcpstate.TimeWait)
	load := p.total() == 0 || p.most(open+waiting) && p.greatest() == max(open, waiting)
	v := Verdict{
		Cause:   v1alpha1.CauseNarrowRange,
		Finding: fmt.Sprintf("The range %v has %d ports", s.Range, e.Pool.Capacity),
		Remedy:  "Widen the range.",
		Setting: e.wider(),
	}
	if s.Reserved > 0 {
		v.Finding += fmt.Sprintf(", after %d that are reserved", s.Reserved)
	}
	v.Finding += fmt.Sprintf("; %d are used%s.", e.Pool.MaxUsed(), e.to())
	if 2*s.Reserved > s.Range.Len() {
		v.Remedy = "Widen the range, or reserve fewer of its ports."
	}
	fits := v.Setting != nil && 2*(int(e.Pool.MaxUsed())) <= int(e.Pool.Capacity)+v.Setting.Ports
	return v, e.Pool.Capacity < smallest && fits && load
}
