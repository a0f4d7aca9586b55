package sockdiag

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// ListListeningPorts returns, sorted, the ports of servers in the calling thread's
// network namespace: those of listening TCP sockets, and those of UDP sockets without a
// peer outside of ephemeral, which has the clients' ports. It needs no capability. The
// TCP dump walks only the listeners (net/ipv4/inet_diag.c, inet_diag_dump_icsk).
func ListListeningPorts(ephemeral ports.Range) ([]ports.Range, error) {
	fd, err := netlink.Open(unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var list []ports.Range
	buf := make([]byte, netlink.BufferSize)
	for i, dump := range []struct {
		request []byte
		kind    uint16
	}{
		{newListenRequest(1), typeLegacy},
		{newUDPRequest(familyIPv4, 2), typeFamily},
		{newUDPRequest(familyIPv6, 3), typeFamily},
	} {
		_, err := netlink.Dump(fd, dump.request, dump.kind, buf, func(m netlink.Message) error {
			k, err := decodeSocket(m.Body)
			port := k.local.Port()
			isTCP := i == 0
			if err == nil && (isTCP && k.state == tcpstate.Listen || !isTCP && k.state == tcpstate.Bound && !ephemeral.Contains(port)) {
				list = append(list, ports.Range{First: port, Last: port})
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list listening ports: %w", err)
		}
	}
	slices.SortFunc(list, func(a, b ports.Range) int { return cmp.Compare(a.First, b.First) })
	return slices.Compact(list), nil
}
