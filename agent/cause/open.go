package cause

import (
	"fmt"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/tcpstate"
)

// evaluateEstablishedPool: open connections, which are in use as far as is known.
func evaluateEstablishedPool(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	n := p.countStates(tcpstate.Established)
	return Diagnosis{
		Cause:   v1alpha1.CauseEstablishedPool,
		Finding: e.formatShare(n, "hold open connections."),
		Remedy:  e.formatSubject() + " should share connections (a bounded pool, HTTP/2) or spread them over more destination addresses.",
		Setting: e.suggestWiderRange(),
	}, p.isMajority(n)
}

// evaluateIdleConnections: most of the open connections have carried nothing for a while.
func evaluateIdleConnections(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	n := p.countStates(tcpstate.Established)
	l := e.PoolDetail
	if l == nil || !p.isMajority(n) || l.Established == 0 || 2*l.Silent < l.Established {
		return Diagnosis{}, false
	}
	return Diagnosis{
		Cause: v1alpha1.CauseIdleConnections,
		Finding: e.formatShare(n, fmt.Sprintf("hold open connections, and %d of %d have been silent for %.0f s or more, one for %s.",
			l.Silent, l.Established, socket.SilentAfter.Seconds(), l.LongestSilence.Round(time.Second))),
		Remedy: "Give " + e.formatHolder() + " fewer idle connections: a smaller pool, an idle time-out, connections given back after use; or let the server end idle ones.",
	}, true
}

// evaluateFewSources: the range is about as wide as it gets, so more ports can only come
// from more addresses.
func evaluateFewSources(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	d, n := e.Pool.Destination, p.countStates(tcpstate.Established)
	if d == nil || !p.isMajority(n) || e.Pool.Network.Settings.Range.Len() < wideRangePorts {
		return Diagnosis{}, false
	}
	return Diagnosis{
		Cause:   v1alpha1.CauseFewSources,
		Finding: e.formatShare(n, fmt.Sprintf("hold open connections, all from %s: the range %v is wide already.", d.Source, e.Pool.Network.Settings.Range)),
		Remedy:  fmt.Sprintf("Each further source address, destination address or destination port gives %d more; or let %s share connections (HTTP/2).", e.Pool.Capacity, e.formatHolder()),
	}, true
}

// wideRangePorts is the size from which a range is wide: 16384 to 65535 without node ports.
const wideRangePorts = 45000

// evaluateNarrowRange: what fills the pool, and no leak beside it is greater, is a load that
// a wider range would carry below half. So the range is what is wrong.
func evaluateNarrowRange(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	s, open, waiting := e.Pool.Network.Settings, p.countStates(tcpstate.Established), p.countStates(tcpstate.TimeWait)
	load := p.countPorts() == 0 || p.isMajority(open+waiting) && p.largestShare() == max(open, waiting)
	v := Diagnosis{
		Cause:   v1alpha1.CauseNarrowRange,
		Finding: fmt.Sprintf("The range %v has %d ports", s.Range, e.Pool.Capacity),
		Remedy:  "Widen the range.",
		Setting: e.suggestWiderRange(),
	}
	if s.Reserved > 0 {
		v.Finding += fmt.Sprintf(", after %d that are reserved", s.Reserved)
	}
	v.Finding += fmt.Sprintf("; %d are used%s.", e.Pool.MaxUsed(), e.formatTarget())
	if 2*s.Reserved > s.Range.Len() {
		v.Remedy = "Widen the range, or reserve fewer of its ports."
	}
	fits := v.Setting != nil && 2*(int(e.Pool.MaxUsed())) <= int(e.Pool.Capacity)+v.Setting.Ports
	return v, e.Pool.Capacity < smallestDefaultRange && fits && load
}
