package testnet

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/internal/tcpstate"
)

// Pair is the two ends of one connection, both ESTABLISHED at first.
type Pair struct{ Client, Server *Socket }

// Dial connects to the listener, which may be in another namespace, and accepts the
// connection. Earlier clients of the listener must have been accepted.
func Dial(l *Socket, src, dst netip.AddrPort, opts ...Option) (Pair, error) {
	return dialWith(l, func() (*Socket, error) { return Connect(src, dst, opts...) })
}

// DialBound is Dial with BindConnect.
func DialBound(l *Socket, src, dst netip.AddrPort, opts ...Option) (Pair, error) {
	return dialWith(l, func() (*Socket, error) { return BindConnect(src, dst, opts...) })
}

func dialWith(l *Socket, connect func() (*Socket, error)) (Pair, error) {
	c, err := connect()
	if err != nil {
		return Pair{}, err
	}
	s, peer, err := l.Accept()
	if err != nil {
		return Pair{}, errors.Join(fmt.Errorf("accept: %w", err), c.Close())
	}
	if local := c.LocalAddr(); peer.Port() != local.Port() || peer.Addr().Unmap() != local.Addr().Unmap() {
		return Pair{}, errors.Join(fmt.Errorf("accepted %v instead of %v", peer, local), c.Close(), s.Close())
	}
	return Pair{c, s}, nil
}

// Swap returns the pair with its ends swapped: p.Swap().EnterTimeWait() closes the
// server first.
func (p Pair) Swap() Pair { return Pair{p.Server, p.Client} }

// EnterTimeWait closes the client first, then the server. The client is in TIME_WAIT
// afterwards.
func (p Pair) EnterTimeWait() error {
	if err := p.shutdownClient(); err != nil {
		return err
	}
	// The server's FIN turns the client into TIME_WAIT at once; its descriptor is left
	// with a socket in CLOSE.
	if err := shutdownWrite(p.Server); err != nil {
		return err
	}
	return errors.Join(p.Client.AwaitState(tcpstate.Close), p.Server.AwaitState(tcpstate.Close),
		p.Client.CloseGently(), p.Server.CloseGently())
}

// EnterFinWait2 closes the client only. The client is an orphan in FIN_WAIT2 (for
// tcp_fin_timeout), and the server, in CLOSE_WAIT, keeps its descriptor.
func (p Pair) EnterFinWait2() error {
	return errors.Join(p.shutdownClient(), p.Client.CloseGently())
}

// EnterCloseWait closes the server only. The server is an orphan in FIN_WAIT2, and the
// client, in CLOSE_WAIT, keeps its descriptor.
func (p Pair) EnterCloseWait() error { return p.Swap().EnterFinWait2() }

// Close resets the connection, so that neither end is left.
func (p Pair) Close() error { return errors.Join(p.Client.Close(), p.Server.Close()) }

func (p Pair) shutdownClient() error {
	if err := shutdownWrite(p.Client); err != nil {
		return err
	}
	return errors.Join(p.Client.AwaitState(tcpstate.FinWait2), p.Server.AwaitState(tcpstate.CloseWait))
}

func shutdownWrite(k *Socket) error {
	if err := unix.Shutdown(k.fd, unix.SHUT_WR); err != nil {
		return fmt.Errorf("shutdown of %v: %w", k.LocalAddr(), err)
	}
	return nil
}

// awaitFIN waits for the other side's FIN.
func (k *Socket) awaitFIN() error {
	var b [1]byte
	return retryInterrupted(func() error {
		n, _, err := unix.Recvfrom(k.fd, b[:], 0)
		if err == nil && n > 0 {
			err = fmt.Errorf("the client of %v sent data", k.LocalAddr())
		}
		return err
	})
}

// Send sends everything.
func (k *Socket) Send(b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(k.fd, b)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}

// ReceiveAll reads until the other side's FIN.
func (k *Socket) ReceiveAll() ([]byte, error) {
	var all []byte
	buffer := make([]byte, 4096)
	for {
		n, err := unix.Read(k.fd, buffer)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return all, err
		case n == 0:
			return all, nil
		default:
			all = append(all, buffer[:n]...)
		}
	}
}

// DropPackets makes a socket drop every packet that it receives (by a classic BPF
// filter). Clients of such a listener wait in SYN_SENT; the server of such a client
// stays in SYN_RECV.
func (k *Socket) DropPackets() error {
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	return unix.SetsockoptSockFprog(k.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(drop)), Filter: &drop[0]})
}

// StartConnect starts to connect to a listener that drops packets. The socket stays in
// SYN_SENT as long as net.ipv4.tcp_syn_retries allows.
func StartConnect(src, dst netip.AddrPort, opts ...Option) (*Socket, error) {
	k, err := Open(dst.Addr(), unix.SOCK_STREAM|unix.SOCK_NONBLOCK, opts...)
	if err != nil {
		return nil, err
	}
	switch err := k.bindAndConnect(src, dst, false); {
	case errors.Is(err, unix.EINPROGRESS):
		return k, nil
	case err == nil:
		return nil, errors.Join(fmt.Errorf("%v answered: call DropPackets on the listener", dst), k.Close())
	default:
		_ = k.Close() // the caller needs the bare errno
		return nil, err
	}
}
