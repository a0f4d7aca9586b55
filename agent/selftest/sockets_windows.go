package selftest

import (
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/sys/windows"
)

// The self-test uses Winsock directly, because Go's dialer always binds a socket before it
// connects (ConnectEx), and the self-test compares connecting with and without bind().

var loopback = [4]byte{127, 0, 0, 1}

// loopbackServer listens on loopback. It keeps accepted connections open until the other
// side closes them.
type loopbackServer struct {
	net.Listener
	port uint16
	done sync.WaitGroup
}

func startServer() (*loopbackServer, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	p := &loopbackServer{Listener: l, port: netip.MustParseAddrPort(l.Addr().String()).Port()}
	p.done.Go(p.acceptConnections)
	return p, nil
}

func (p *loopbackServer) acceptConnections() {
	for {
		c, err := p.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() {
			var b [1]byte
			_, _ = c.Read(b[:]) // until the other side closes
			_ = c.Close()
		})
	}
}

func (p *loopbackServer) close() {
	_ = p.Close()
	p.done.Wait()
}

// clientSocket is a connection of the self-test.
type clientSocket struct {
	handle windows.Handle
	local  uint16
	peer   uint16
}

// dialLoopback connects to a port on loopback. If bound is true, it binds to port 0 first.
func dialLoopback(port uint16, bound bool) (clientSocket, error) {
	h, err := windows.Socket(windows.AF_INET, windows.SOCK_STREAM, windows.IPPROTO_TCP)
	if err != nil {
		return clientSocket{}, fmt.Errorf("socket: %w", err)
	}
	c := clientSocket{handle: h, peer: port}
	if bound {
		err = windows.Bind(h, &windows.SockaddrInet4{Addr: loopback})
	}
	if err == nil {
		err = windows.Connect(h, &windows.SockaddrInet4{Addr: loopback, Port: int(port)})
	}
	if err == nil {
		c.local, err = readLocalPort(h)
	}
	if err != nil {
		c.close()
		return clientSocket{}, fmt.Errorf("connect to 127.0.0.1:%d: %w", port, err)
	}
	return c, nil
}

func readLocalPort(h windows.Handle) (uint16, error) {
	name, err := windows.Getsockname(h)
	if err != nil {
		return 0, fmt.Errorf("getsockname: %w", err)
	}
	switch a := name.(type) {
	case *windows.SockaddrInet4:
		return uint16(a.Port), nil
	case *windows.SockaddrInet6:
		return uint16(a.Port), nil
	}
	return 0, fmt.Errorf("getsockname: %T", name)
}

// reset closes c without a TIME_WAIT, so that its port is free at once.
func (c clientSocket) reset() {
	_ = windows.SetsockoptLinger(c.handle, windows.SOL_SOCKET, windows.SO_LINGER, &windows.Linger{Onoff: 1})
	c.close()
}

func (c clientSocket) close() { _ = windows.Closesocket(c.handle) }

// bindLoopback binds a port, 0 for any, without connecting.
func bindLoopback(ipv6 bool, port uint16) (windows.Handle, uint16, error) {
	family, address := windows.AF_INET, windows.Sockaddr(&windows.SockaddrInet4{Addr: loopback, Port: int(port)})
	if ipv6 {
		family, address = windows.AF_INET6, &windows.SockaddrInet6{Addr: netip.IPv6Loopback().As16(), Port: int(port)}
	}
	h, err := windows.Socket(family, windows.SOCK_STREAM, windows.IPPROTO_TCP)
	if err != nil {
		return 0, 0, fmt.Errorf("socket: %w", err)
	}
	got := uint16(0)
	if err = windows.Bind(h, address); err == nil {
		got, err = readLocalPort(h)
	}
	if err != nil {
		_ = windows.Closesocket(h)
		return 0, 0, fmt.Errorf("bind: %w", err)
	}
	return h, got, nil
}
