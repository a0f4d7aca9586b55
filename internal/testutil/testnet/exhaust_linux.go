package testnet

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ErrUnexhausted is returned by the Exhaust functions when the kernel gave more
// ports than there are.
var ErrUnexhausted = errors.New("no end of ports")

const maxPorts = 1 << 16

// Exhaust is what connect() then gives: the number of sockets that connect from src
// to dst until EADDRNOTAVAIL. They are closed again and leave nothing: no packet is
// sent (Repair), so there need not be a listener either. src is as for Connect.
// TIME_WAIT sockets that connect() takes over are gone afterwards.
func Exhaust(src, dst netip.AddrPort, opts ...Option) (int, error) {
	opts = append([]Option{Repair}, opts...)
	return exhaustPorts(unix.EADDRNOTAVAIL, func() (*Socket, error) { return Connect(src, dst, opts...) })
}

// ExhaustBind is what bind() to addr, port 0, then gives until EADDRINUSE.
func ExhaustBind(addr netip.Addr, opts ...Option) (int, error) {
	return exhaustPorts(unix.EADDRINUSE, func() (*Socket, error) { return Bind(netip.AddrPortFrom(addr, 0), opts...) })
}

// ExhaustBindUDP is what bind() of UDP sockets then gives until EADDRINUSE.
func ExhaustBindUDP(addr netip.Addr, opts ...Option) (int, error) {
	return exhaustPorts(unix.EADDRINUSE, func() (*Socket, error) { return BindUDP(netip.AddrPortFrom(addr, 0), opts...) })
}

// ExhaustConnectUDP is what connect() of UDP sockets then gives until EAGAIN.
func ExhaustConnectUDP(dst netip.AddrPort, opts ...Option) (int, error) {
	return exhaustPorts(unix.EAGAIN, func() (*Socket, error) { return ConnectUDP(netip.AddrPort{}, dst, opts...) })
}

// exhaustPorts calls next until it fails with end. A failure of another kind is an error.
func exhaustPorts(end unix.Errno, next func() (*Socket, error)) (int, error) {
	var held []*Socket
	defer func() {
		for _, k := range held {
			_ = k.Close() // a repair or unconnected socket: close can't fail
		}
	}()
	for len(held) < maxPorts {
		k, err := next()
		if errors.Is(err, end) {
			return len(held), nil
		}
		if err != nil {
			return len(held), fmt.Errorf("after %d sockets: %w", len(held), err)
		}
		held = append(held, k)
	}
	return len(held), ErrUnexhausted
}
