package inetdiag

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/internal/netlink"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/tunable"
)

// Listening are the ports that something waits on in the calling thread's network
// namespace, sorted: TCP sockets that listen, and UDP sockets without a peer whose
// port is outside of ephemeral, where clients have theirs. It needs no capability.
// The TCP half costs the walk of the listeners only (net/ipv4/inet_diag.c,
// inet_diag_dump_icsk).
func Listening(ephemeral tunable.Ports) ([]tunable.Ports, error) {
	fd, err := netlink.Open(unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var list []tunable.Ports
	buf := make([]byte, netlink.BufferSize)
	for i, ask := range []struct {
		request []byte
		kind    uint16
	}{{listenRequest(1), typeLegacy}, {udpRequest(familyIPv4, 2), typeFamily}, {udpRequest(familyIPv6, 3), typeFamily}} {
		_, err := netlink.Dump(fd, ask.request, ask.kind, buf, func(m netlink.Message) error {
			k, err := decodeSocket(m.Body)
			port := int(k.local.Port())
			inRange := ephemeral.First <= port && port <= ephemeral.Last
			if tcp := i == 0; err == nil && (tcp && k.state == socket.Listen || !tcp && k.state == socket.Bound && !inRange) {
				list = append(list, tunable.Ports{First: port, Last: port})
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list what listens: %w", err)
		}
	}
	slices.SortFunc(list, func(a, b tunable.Ports) int { return a.First - b.First })
	return slices.Compact(list), nil
}
