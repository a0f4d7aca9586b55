package main

import (
	"net"
	"net/netip"
	"slices"
)

// checkHostNetwork says why the sysctls are not the host's. The host of a node that is a container
// itself (kind, k3d) has a network beside the machine's: there the agent has hostNetwork
// if it has the node's address.
func (t *tuneFlags) checkHostNetwork() string {
	if own, err := net.InterfaceAddrs(); err == nil && isOwnAddress(t.hostIP, own) {
		return ""
	}
	return checkHostSysctls(t.sysctlRoot)
}

// isOwnAddress says whether ip is one of own. Those of loopback every network has.
func isOwnAddress(ip string, own []net.Addr) bool {
	want, err := netip.ParseAddr(ip)
	return err == nil && !want.IsLoopback() && slices.ContainsFunc(own, func(a net.Addr) bool {
		have, err := netip.ParsePrefix(a.String())
		return err == nil && have.Addr().Unmap() == want.Unmap()
	})
}
