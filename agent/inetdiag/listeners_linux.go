package inetdiag

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/internal/netlink"
	"portreeve.io/portreeve/agent/socket"
)

// ListenPorts are the ports that services have in the calling thread's network
// namespace: those that TCP listens on, and those of UDP sockets without a peer.
// They are sorted.
func ListenPorts() (ports []uint16, err error) {
	fd, err := netlink.Open(unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	buf := make([]byte, netlink.BufferSize)
	for i, r := range []struct {
		family, protocol uint8
		states           uint32
	}{
		{familyIPv4, protocolTCP, 1 << socket.Listen}, {familyIPv6, protocolTCP, 1 << socket.Listen},
		{familyIPv4, protocolUDP, 1 << socket.Close}, {familyIPv6, protocolUDP, 1 << socket.Close},
	} {
		request := familyRequest(r.family, r.protocol, r.states, uint32(i+1))
		_, err := netlink.Dump(fd, request, typeFamily, buf, func(m netlink.Message) error {
			s, err := decodeSocket(m.Body)
			if err == nil {
				ports = append(ports, s.local.Port())
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list what listens: %w", err)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports), nil
}
