package testnet

import "net/netip"

// The methods below call the functions of the same name inside the namespace.
// Namespace.Close closes their sockets with a reset.

// Connect connects from src to dst; see the function.
func (s *Namespace) Connect(src, dst netip.AddrPort, opts ...Option) (*Socket, error) {
	return s.openSocket(func() (*Socket, error) { return Connect(src, dst, opts...) })
}

// BindConnect binds src, then connects; see the function.
func (s *Namespace) BindConnect(src, dst netip.AddrPort, opts ...Option) (*Socket, error) {
	return s.openSocket(func() (*Socket, error) { return BindConnect(src, dst, opts...) })
}

// Bind binds a TCP socket.
func (s *Namespace) Bind(addr netip.AddrPort, opts ...Option) (*Socket, error) {
	return s.openSocket(func() (*Socket, error) { return Bind(addr, opts...) })
}

// BindUDP binds a UDP socket.
func (s *Namespace) BindUDP(addr netip.AddrPort, opts ...Option) (*Socket, error) {
	return s.openSocket(func() (*Socket, error) { return BindUDP(addr, opts...) })
}

// ConnectUDP connects a UDP socket.
func (s *Namespace) ConnectUDP(src, dst netip.AddrPort, opts ...Option) (*Socket, error) {
	return s.openSocket(func() (*Socket, error) { return ConnectUDP(src, dst, opts...) })
}

// Listen listens at addr.
func (s *Namespace) Listen(addr netip.AddrPort, opts ...Option) (*Socket, error) {
	return s.openSocket(func() (*Socket, error) { return Listen(addr, opts...) })
}

// StartConnect starts to connect to a listener that drops packets.
func (s *Namespace) StartConnect(src, dst netip.AddrPort, opts ...Option) (*Socket, error) {
	return s.openSocket(func() (*Socket, error) { return StartConnect(src, dst, opts...) })
}

// Dial connects to the listener and accepts the connection.
func (s *Namespace) Dial(l *Socket, src, dst netip.AddrPort, opts ...Option) (Pair, error) {
	return s.openPair(func() (Pair, error) { return Dial(l, src, dst, opts...) })
}

// DialBound is Dial with BindConnect.
func (s *Namespace) DialBound(l *Socket, src, dst netip.AddrPort, opts ...Option) (Pair, error) {
	return s.openPair(func() (Pair, error) { return DialBound(l, src, dst, opts...) })
}

// Exhaust returns the number of sockets that connect(); see the function.
func (s *Namespace) Exhaust(src, dst netip.AddrPort, opts ...Option) (int, error) {
	return s.countPorts(func() (int, error) { return Exhaust(src, dst, opts...) })
}

// ExhaustBind returns the number of sockets that bind().
func (s *Namespace) ExhaustBind(addr netip.Addr, opts ...Option) (int, error) {
	return s.countPorts(func() (int, error) { return ExhaustBind(addr, opts...) })
}

// ExhaustBindUDP returns the number of UDP sockets that bind().
func (s *Namespace) ExhaustBindUDP(addr netip.Addr, opts ...Option) (int, error) {
	return s.countPorts(func() (int, error) { return ExhaustBindUDP(addr, opts...) })
}

// ExhaustConnectUDP returns the number of UDP sockets that connect().
func (s *Namespace) ExhaustConnectUDP(dst netip.AddrPort, opts ...Option) (int, error) {
	return s.countPorts(func() (int, error) { return ExhaustConnectUDP(dst, opts...) })
}

func (s *Namespace) openSocket(fn func() (*Socket, error)) (k *Socket, err error) {
	s.Do(func() { k, err = fn() })
	return s.keepSocket(k, err)
}

func (s *Namespace) openPair(fn func() (Pair, error)) (p Pair, err error) {
	s.Do(func() { p, err = fn() })
	if err == nil {
		_, _ = s.keepSocket(p.Client, nil)
		_, _ = s.keepSocket(p.Server, nil)
	}
	return p, err
}

func (s *Namespace) countPorts(fn func() (int, error)) (n int, err error) {
	s.Do(func() { n, err = fn() })
	return n, err
}
