package cause

import (
	"fmt"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/tcpstate"
)

// snatPool: the ports that a source address is translated to, which have nothing to
// do with the range (net/netfilter/nf_nat_core.c).
func snatPool(e *Evidence, _ parts) (Verdict, bool) {
	if e.Pool.Kind != socket.SNAT {
		return Verdict{}, false
	}
	d := e.Pool.Destination
	v := Verdict{
		Cause:   v1alpha1.CauseSnatPool,
		Finding: fmt.Sprintf("%d of %d ports of the translated address %s%s are used", e.Pool.Used, e.Pool.Capacity, d.Source, e.to()),
		Remedy:  "Reuse connections, translate to more source addresses, or reach the destination without SNAT.",
	}
	var held parts
	held.add(d) // of connections that have ended those whose port is not free to take
	if spelt := held.spell(); spelt != "" {
		v.Finding += " (" + spelt + ")"
	}
	v.Finding += "."
	if e.Pool.Capacity < socket.SNATPorts {
		v.Finding += fmt.Sprintf(" Its rule seems to leave no more than these %d (--to-ports).", e.Pool.Capacity)
		v.Remedy = "Widen the rule's range of ports. " + v.Remedy
	}
	if ended := held.in(tcpstate.TimeWait); ended > 0 && 4*ended >= int(e.Pool.Used) {
		v.Setting = e.sysctl(settings.KeyConntrackTimeWait, "30", "the entry of a closed connection keeps its port for that long, 120 s by default")
	}
	return v, true
}
