package cause

import (
	"fmt"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/tcpstate"
)

// evaluateSNATPool matches the pools of translated source addresses, which do not depend
// on the ephemeral range (net/netfilter/nf_nat_core.c).
func evaluateSNATPool(e *Evidence, _ portBreakdown) (Diagnosis, bool) {
	if e.Pool.Kind != socket.SNAT || e.System.IsWindows { // no reader reports those of Windows
		return Diagnosis{}, false
	}
	dst := e.Pool.Destination
	d := Diagnosis{
		Cause: v1alpha1.CauseSnatPool,
		Finding: fmt.Sprintf("%d of %d ports of the translated address %s%s are in use",
			e.Pool.Used, e.Pool.Capacity, dst.Source, e.formatTarget()),
		Remedy: "Reuse connections, translate to more source addresses, or reach the destination without SNAT.",
	}
	var inUse portBreakdown
	inUse.addDestination(dst) // of closed connections those whose port can't be taken over
	if shares := inUse.formatShares(); shares != "" {
		d.Finding += " (" + shares + ")"
	}
	d.Finding += "."
	if e.Pool.Capacity < socket.SNATPorts {
		d.Finding += fmt.Sprintf(" The SNAT rule seems to allow only these %d (--to-ports).", e.Pool.Capacity)
		d.Remedy = "Widen the rule's port range. " + d.Remedy
	}
	if closed := inUse.countStates(tcpstate.TimeWait); closed > 0 && 4*closed >= int(e.Pool.Used) {
		d.Setting = e.newSysctl(settings.KeyConntrackTimeWait, "30",
			"the entry of a closed connection occupies its port for that time, 120 s by default")
	}
	return d, true
}
