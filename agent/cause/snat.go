package cause

import (
	"fmt"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// snatPool: the ports that a source address is translated to, which have nothing to
// do with the range (net/netfilter/nf_nat_core.c).
func snatPool(e *Evidence, _ parts) (Verdict, bool) {
	if e.Pool.Kind != socket.SNAT {
		return Verdict{}, false
	}
	return Verdict{
		Cause:   v1alpha1.CauseSnatPool,
		Finding: fmt.Sprintf("%d of %d ports of the translated address %s%s are used.", e.Pool.Used, e.Pool.Capacity, e.Pool.Destination.Source, e.to()),
		Remedy:  "Reuse connections, translate to more addresses, or reach the destination without SNAT; an entry of a closed connection keeps its port until it times out.",
		Setting: e.sysctl("net.netfilter.nf_conntrack_tcp_timeout_time_wait", "30", ""),
	}, true
}
