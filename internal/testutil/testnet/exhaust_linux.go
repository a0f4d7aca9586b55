package testnet

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ErrUnexhausted is returned by the Exhaust functions when the kernel gave more
// ports than exist.
var ErrUnexhausted = errors.New("the kernel gave more than 65,536 ports")

const maxPorts = 1 << 16

// Exhaust connects sockets from src to dst until EADDRNOTAVAIL, closes them, and returns
// their number. No packet is sent (Repair), so that nothing is left and no listener is
// needed. src is as for Connect. TIME_WAIT sockets whose ports connect() reuses are
// removed by that.
func Exhaust(src, dst netip.AddrPort, opts ...Option) (int, error) {
	opts = append([]Option{Repair}, opts...)
	return exhaustPorts(unix.EADDRNOTAVAIL, func() (*Socket, error) { return Connect(src, dst, opts...) })
}

// ExhaustBind returns the number of sockets that bind() to addr, port 0, until EADDRINUSE.
func ExhaustBind(addr netip.Addr, opts ...Option) (int, error) {
	return exhaustPorts(unix.EADDRINUSE, func() (*Socket, error) { return Bind(netip.AddrPortFrom(addr, 0), opts...) })
}

// ExhaustBindUDP returns the number of UDP sockets that bind() until EADDRINUSE.
func ExhaustBindUDP(addr netip.Addr, opts ...Option) (int, error) {
	return exhaustPorts(unix.EADDRINUSE, func() (*Socket, error) { return BindUDP(netip.AddrPortFrom(addr, 0), opts...) })
}

// ExhaustConnectUDP returns the number of UDP sockets that connect() until EAGAIN.
func ExhaustConnectUDP(dst netip.AddrPort, opts ...Option) (int, error) {
	return exhaustPorts(unix.EAGAIN, func() (*Socket, error) { return ConnectUDP(netip.AddrPort{}, dst, opts...) })
}

// exhaustPorts counts the calls of next until it fails with end. Other failures are errors.
func exhaustPorts(end unix.Errno, next func() (*Socket, error)) (int, error) {
	var sockets []*Socket
	defer func() {
		for _, k := range sockets {
			_ = k.Close() // a repair or unconnected socket: close can't fail
		}
	}()
	for len(sockets) < maxPorts {
		k, err := next()
		if errors.Is(err, end) {
			return len(sockets), nil
		}
		if err != nil {
			return len(sockets), fmt.Errorf("after %d sockets: %w", len(sockets), err)
		}
		sockets = append(sockets, k)
	}
	return len(sockets), ErrUnexhausted
}
