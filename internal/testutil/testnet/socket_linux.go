package testnet

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// waitLimit limits every blocking call and every wait for the kernel.
const waitLimit = 20 * time.Second

// Socket is a raw socket descriptor. It isn't safe for concurrent use.
type Socket struct{ fd int }

// Option is a socket option that is set before bind and connect.
type Option struct{ Level, Name, Value int }

// The options that decide which ports bind and connect may take.
var (
	ReuseAddr = Option{Level: unix.SOL_SOCKET, Name: unix.SO_REUSEADDR, Value: 1}
	ReusePort = Option{Level: unix.SOL_SOCKET, Name: unix.SO_REUSEPORT, Value: 1}
	// NoPort lets bind(address:0) leave the choice of the port to connect.
	NoPort = Option{Level: unix.IPPROTO_IP, Name: unix.IP_BIND_ADDRESS_NO_PORT, Value: 1}
	// Repair connects and closes without a packet and without a peer. It needs
	// CAP_NET_ADMIN. The kernel chooses the port as always.
	Repair = Option{Level: unix.IPPROTO_TCP, Name: unix.TCP_REPAIR, Value: 1}
)

// LocalPortRange returns the option IP_LOCAL_PORT_RANGE (Linux 6.3), which narrows the
// range of one socket.
func LocalPortRange(r ports.Range) Option {
	return Option{Level: unix.IPPROTO_IP, Name: unix.IP_LOCAL_PORT_RANGE, Value: int(r.Last)<<16 | int(r.First)}
}

// Open opens a socket of kind unix.SOCK_STREAM or SOCK_DGRAM. The family is that of
// addr: AF_INET6 also for an IPv4-mapped one.
func Open(addr netip.Addr, kind int, opts ...Option) (*Socket, error) {
	family := unix.AF_INET
	if !addr.Is4() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	k := &Socket{fd}
	err = errors.Join(k.setTimeout(unix.SO_RCVTIMEO, waitLimit), k.setTimeout(unix.SO_SNDTIMEO, waitLimit))
	for _, o := range opts {
		if err == nil {
			err = k.SetOption(o)
		}
	}
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// SetOption sets an option.
func (k *Socket) SetOption(o Option) error {
	if err := unix.SetsockoptInt(k.fd, o.Level, o.Name, o.Value); err != nil {
		return fmt.Errorf("setsockopt(%d, %d, %d): %w", o.Level, o.Name, o.Value, err)
	}
	return nil
}

func (k *Socket) setTimeout(option int, d time.Duration) error {
	t := unix.NsecToTimeval(int64(d))
	return unix.SetsockoptTimeval(k.fd, unix.SOL_SOCKET, option, &t)
}

// FD returns the descriptor, -1 when closed.
func (k *Socket) FD() int { return k.fd }

// Bind binds to addr; port 0 lets the kernel choose.
func (k *Socket) Bind(addr netip.AddrPort) error { return unix.Bind(k.fd, toSockaddr(addr)) }

// Connect connects and waits for the handshake.
func (k *Socket) Connect(dst netip.AddrPort) error {
	return retryInterrupted(func() error { return unix.Connect(k.fd, toSockaddr(dst)) })
}

// retryInterrupted repeats a call that a signal (Go's scheduler sends them) interrupted:
// with a timeout set the kernel doesn't. A repeated connect waits for the first one.
func retryInterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// LocalAddr returns the address that the socket is bound to.
func (k *Socket) LocalAddr() netip.AddrPort {
	sa, err := unix.Getsockname(k.fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return toAddrPort(sa)
}

// State returns the TCP state (struct tcp_info), 0 if it is unknown. It is never
// TIME_WAIT: such a socket has no descriptor, and the descriptor's socket is in CLOSE.
func (k *Socket) State() tcpstate.State {
	info, err := unix.GetsockoptTCPInfo(k.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0
	}
	return tcpstate.State(info.State)
}

// AwaitState waits until the socket is in a state.
func (k *Socket) AwaitState(want tcpstate.State) error {
	for end := time.Now().Add(waitLimit); k.State() != want; time.Sleep(20 * time.Microsecond) {
		if time.Now().After(end) {
			return fmt.Errorf("socket %v is in state %d, not %d, after %v", k.LocalAddr(), k.State(), want, waitLimit)
		}
	}
	return nil
}

// Close closes with a reset (SO_LINGER 0), so that neither side is left in TIME_WAIT. A
// Repair socket sends no packet. Closing twice does nothing.
func (k *Socket) Close() error {
	if k.fd < 0 {
		return nil
	}
	// Not every socket has a linger time.
	_ = unix.SetsockoptLinger(k.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	return k.CloseGently()
}

// CloseGently calls close(), which sends a FIN.
func (k *Socket) CloseGently() error {
	fd := k.fd
	if fd < 0 {
		return nil
	}
	k.fd = -1
	return unix.Close(fd)
}

// NetnsCookie returns SO_NETNS_COOKIE, which differs between namespaces with the same
// inode number.
func (k *Socket) NetnsCookie() (uint64, error) {
	return unix.GetsockoptUint64(k.fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
}

func toSockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func toAddrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
