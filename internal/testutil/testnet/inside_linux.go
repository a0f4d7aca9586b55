package testnet

import "net/netip"

// The methods below are the functions of the same name, called inside the
// namespace. Sockets are kept, and closed with a reset by Space.Close.

// Connect connects from src to dst; see the function.
func (s *Space) Connect(src, dst netip.AddrPort, opts ...Option) (*Socket, error) {
	return s.open(func() (*Socket, error) { return Connect(src, dst, opts...) })
}

// BindConnect binds src, then connects; see the function.
func (s *Space) BindConnect(src, dst netip.AddrPort, opts ...Option) (*Socket, error) {
	return s.open(func() (*Socket, error) { return BindConnect(src, dst, opts...) })
}

// Bind binds a TCP socket.
func (s *Space) Bind(addr netip.AddrPort, opts ...Option) (*Socket, error) {
	return s.open(func() (*Socket, error) { return Bind(addr, opts...) })
}

// BindUDP binds a UDP socket.
func (s *Space) BindUDP(addr netip.AddrPort, opts ...Option) (*Socket, error) {
	return s.open(func() (*Socket, error) { return BindUDP(addr, opts...) })
}

// ConnectUDP connects a UDP socket.
func (s *Space) ConnectUDP(src, dst netip.AddrPort, opts ...Option) (*Socket, error) {
	return s.open(func() (*Socket, error) { return ConnectUDP(src, dst, opts...) })
}

// Listen listens at addr.
func (s *Space) Listen(addr netip.AddrPort, opts ...Option) (*Socket, error) {
	return s.open(func() (*Socket, error) { return Listen(addr, opts...) })
}

// SynSent starts to connect to a deaf listener.
func (s *Space) SynSent(src, dst netip.AddrPort, opts ...Option) (*Socket, error) {
	return s.open(func() (*Socket, error) { return SynSent(src, dst, opts...) })
}

// Dial connects to the listener and takes the other end.
func (s *Space) Dial(l *Socket, src, dst netip.AddrPort, opts ...Option) (Pair, error) {
	return s.pair(func() (Pair, error) { return Dial(l, src, dst, opts...) })
}

// DialBound is Dial with BindConnect.
func (s *Space) DialBound(l *Socket, src, dst netip.AddrPort, opts ...Option) (Pair, error) {
	return s.pair(func() (Pair, error) { return DialBound(l, src, dst, opts...) })
}

// Exhaust is what connect() then gives; see the function.
func (s *Space) Exhaust(src, dst netip.AddrPort, opts ...Option) (int, error) {
	return s.count(func() (int, error) { return Exhaust(src, dst, opts...) })
}

// ExhaustBind is what bind() then gives.
func (s *Space) ExhaustBind(addr netip.Addr, opts ...Option) (int, error) {
	return s.count(func() (int, error) { return ExhaustBind(addr, opts...) })
}

// ExhaustBindUDP is what bind() of UDP sockets then gives.
func (s *Space) ExhaustBindUDP(addr netip.Addr, opts ...Option) (int, error) {
	return s.count(func() (int, error) { return ExhaustBindUDP(addr, opts...) })
}

// ExhaustConnectUDP is what connect() of UDP sockets then gives.
func (s *Space) ExhaustConnectUDP(dst netip.AddrPort, opts ...Option) (int, error) {
	return s.count(func() (int, error) { return ExhaustConnectUDP(dst, opts...) })
}

func (s *Space) open(fn func() (*Socket, error)) (k *Socket, err error) {
	s.Do(func() { k, err = fn() })
	return s.keep(k, err)
}

func (s *Space) pair(fn func() (Pair, error)) (p Pair, err error) {
	s.Do(func() { p, err = fn() })
	if err == nil {
		_, _ = s.keep(p.Client, nil)
		_, _ = s.keep(p.Server, nil)
	}
	return p, err
}

func (s *Space) count(fn func() (int, error)) (n int, err error) {
	s.Do(func() { n, err = fn() })
	return n, err
}
