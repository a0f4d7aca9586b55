package cause

import (
	"fmt"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/tcpstate"
)

// evaluateEstablishedPool matches if most ports belong to open connections, which are
// active as far as is known.
func evaluateEstablishedPool(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	n := p.countStates(tcpstate.Established)
	return Diagnosis{
		Cause:   v1alpha1.CauseEstablishedPool,
		Finding: e.formatShare(n, "are used by open connections."),
		Remedy:  e.formatSubject() + " should share connections (a bounded pool, HTTP/2) or spread them over more destination addresses.",
		Setting: e.suggestWiderRange(),
	}, p.isMajority(n)
}

// evaluateIdleConnections matches if most of the open connections have carried no data for
// some time.
func evaluateIdleConnections(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	n := p.countStates(tcpstate.Established)
	detail := e.PoolDetail
	if detail == nil || !p.isMajority(n) || detail.Established == 0 || 2*detail.Silent < detail.Established {
		return Diagnosis{}, false
	}
	return Diagnosis{
		Cause: v1alpha1.CauseIdleConnections,
		Finding: e.formatShare(n, fmt.Sprintf("are used by open connections, and %d of %d have been idle for %.0f s or more, one for %s.",
			detail.Silent, detail.Established, socket.SilentAfter.Seconds(), detail.LongestSilence.Round(time.Second))),
		Remedy: "Reduce the idle connections of " + e.formatHolder() + ": a smaller pool, an idle time-out, returning connections to the pool after use; or let the server close idle ones.",
	}, true
}

// evaluateFewSources matches if the range is already wide, so that only more addresses
// give more ports.
func evaluateFewSources(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	dst, n := e.Pool.Destination, p.countStates(tcpstate.Established)
	if dst == nil || !p.isMajority(n) || e.Pool.Network.Settings.Range.Len() < wideRangePorts {
		return Diagnosis{}, false
	}
	return Diagnosis{
		Cause: v1alpha1.CauseFewSources,
		Finding: e.formatShare(n, fmt.Sprintf("are used by open connections, all from %s; the range %v is already wide.",
			dst.Source, e.Pool.Network.Settings.Range)),
		Remedy: fmt.Sprintf("Each further source address, destination address or destination port gives %d more; or let %s share connections (HTTP/2).",
			e.Pool.Capacity, e.formatHolder()),
	}, true
}

// wideRangePorts is the size from which a range is wide: 16384 to 65535 without node ports.
const wideRangePorts = 45000

// evaluateNarrowRange matches if a wider range would have at most half of its ports in use,
// and if normal load fills the pool, not a leak.
func evaluateNarrowRange(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	s, open, waiting := e.Pool.Network.Settings, p.countStates(tcpstate.Established), p.countStates(tcpstate.TimeWait)
	isLoad := p.countPorts() == 0 || p.isMajority(open+waiting) && p.largestShare() == max(open, waiting)
	d := Diagnosis{
		Cause:   v1alpha1.CauseNarrowRange,
		Finding: fmt.Sprintf("The range %v has only %d ports", s.Range, e.Pool.Capacity),
		Remedy:  "Widen the range.",
		Setting: e.suggestWiderRange(),
	}
	if s.Reserved > 0 {
		d.Finding += fmt.Sprintf(", not counting %d reserved ones", s.Reserved)
	}
	d.Finding += fmt.Sprintf("; %d are in use%s.", e.Pool.MaxUsed(), e.formatTarget())
	if 2*s.Reserved > s.Range.Len() {
		d.Remedy = "Widen the range, or reserve fewer of its ports."
	}
	fits := d.Setting != nil && 2*(int(e.Pool.MaxUsed())) <= int(e.Pool.Capacity)+d.Setting.Ports
	return d, e.Pool.Capacity < smallestDefaultRange && fits && isLoad
}
