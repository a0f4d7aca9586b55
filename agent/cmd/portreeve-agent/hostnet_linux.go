package main

import (
	"net"
	"net/netip"
	"slices"
)

// checkHostNetwork returns the reason why the sysctls are not the host's, empty if they
// are. A node that is a container itself (kind, k3d) has a network other than the machine's:
// there the agent has hostNetwork if it has the node's address.
func (t *tuneFlags) checkHostNetwork() string {
	if own, err := net.InterfaceAddrs(); err == nil && isOwnAddress(t.hostIP, own) {
		return ""
	}
	return checkHostSysctls(t.sysctlRoot)
}

// isOwnAddress reports whether ip is one of own and not a loopback address, which every
// network has.
func isOwnAddress(ip string, own []net.Addr) bool {
	want, err := netip.ParseAddr(ip)
	return err == nil && !want.IsLoopback() && slices.ContainsFunc(own, func(a net.Addr) bool {
		have, err := netip.ParsePrefix(a.String())
		return err == nil && have.Addr().Unmap() == want.Unmap()
	})
}
