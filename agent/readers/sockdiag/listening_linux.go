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

// Listening are the ports that something waits on in the calling thread's network
// namespace, sorted: TCP sockets that listen, and UDP sockets without a peer whose
// port is outside of ephemeral, where clients have theirs. It needs no capability.
// The TCP half costs the walk of the listeners only (net/ipv4/inet_diag.c,
// inet_diag_dump_icsk).
func Listening(ephemeral ports.Range) ([]ports.Range, error) {
	fd, err := netlink.Open(unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var list []ports.Range
	buf := make([]byte, netlink.BufferSize)
	for i, ask := range []struct {
		request []byte
		kind    uint16
	}{{listenRequest(1), typeLegacy}, {udpRequest(familyIPv4, 2), typeFamily}, {udpRequest(familyIPv6, 3), typeFamily}} {
		_, err := netlink.Dump(fd, ask.request, ask.kind, buf, func(m netlink.Message) error {
			k, err := decodeSocket(m.Body)
			port := k.local.Port()
			if tcp := i == 0; err == nil && (tcp && k.state == tcpstate.Listen || !tcp && k.state == tcpstate.Bound && !ephemeral.Contains(port)) {
				list = append(list, ports.Range{First: port, Last: port})
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list listening sockets: %w", err)
		}
	}
	slices.SortFunc(list, func(a, b ports.Range) int { return cmp.Compare(a.First, b.First) })
	return slices.Compact(list), nil
}
