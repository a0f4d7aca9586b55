package testnet

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// backlog is more than tests connect without an accept. The kernel limits it to
// net.core.somaxconn (4096 by default).
const backlog = 1 << 16

// Connect connects from src, waiting for the handshake. An invalid src leaves the
// address to the kernel; with port 0 only the address is bound (NoPort), so connect
// chooses the port; any other port is bound first. The error is the bare errno of
// bind or connect: EADDRNOTAVAIL when connect finds no port.
func Connect(src, dst netip.AddrPort, opts ...Option) (*Socket, error) {
	return openSocket(unix.SOCK_STREAM, src, dst, false, opts)
}

// BindConnect binds src, with a port of the kernel's choice if it is 0, and then connects.
// The port is in use for every destination. The error is EADDRINUSE when bind finds none.
func BindConnect(src, dst netip.AddrPort, opts ...Option) (*Socket, error) {
	return openSocket(unix.SOCK_STREAM, src, dst, true, opts)
}

// Bind binds a TCP socket.
func Bind(addr netip.AddrPort, opts ...Option) (*Socket, error) {
	return openSocket(unix.SOCK_STREAM, addr, netip.AddrPort{}, true, opts)
}

// ConnectUDP connects a UDP socket; the kernel binds a port to it (autobind).
func ConnectUDP(src, dst netip.AddrPort, opts ...Option) (*Socket, error) {
	return openSocket(unix.SOCK_DGRAM, src, dst, src.Port() != 0, opts)
}

// BindUDP binds a UDP socket.
func BindUDP(addr netip.AddrPort, opts ...Option) (*Socket, error) {
	return openSocket(unix.SOCK_DGRAM, addr, netip.AddrPort{}, true, opts)
}

func openSocket(kind int, src, dst netip.AddrPort, port bool, opts []Option) (*Socket, error) {
	addr := dst.Addr()
	if !dst.IsValid() {
		addr = src.Addr()
	}
	k, err := Open(addr, kind, opts...)
	if err != nil {
		return nil, err
	}
	if err := k.bindAndConnect(src, dst, port); err != nil {
		_ = k.Close() // the caller needs the bare errno
		return nil, err
	}
	return k, nil
}

func (k *Socket) bindAndConnect(src, dst netip.AddrPort, port bool) error {
	if src.IsValid() {
		if !port && src.Port() == 0 {
			if err := k.SetOption(NoPort); err != nil {
				return err
			}
		}
		if err := k.Bind(src); err != nil {
			return err
		}
	}
	if dst.IsValid() {
		return k.Connect(dst)
	}
	return nil
}

// Listen binds and listens with a backlog that takes net.core.somaxconn clients
// without an accept.
func Listen(addr netip.AddrPort, opts ...Option) (*Socket, error) {
	k, err := Bind(addr, opts...)
	if err != nil {
		return nil, err
	}
	if err := unix.Listen(k.fd, backlog); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// Accept accepts the next connection of a listener, and returns it with its client's
// address.
func (k *Socket) Accept() (*Socket, netip.AddrPort, error) {
	var fd int
	var sa unix.Sockaddr
	err := retryInterrupted(func() (err error) {
		fd, sa, err = unix.Accept4(k.fd, unix.SOCK_CLOEXEC)
		return err
	})
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	s := &Socket{fd}
	if err := s.setTimeout(unix.SO_RCVTIMEO, waitLimit); err != nil {
		return nil, netip.AddrPort{}, errors.Join(err, s.Close())
	}
	return s, toAddrPort(sa), nil
}
