package httpserver

import (
	"net"
	"slices"
	"sync"
)

// boundedListener keeps at most a number of connections open. Each connection can be read
// once before another replaces it, so that a request that is already there is served,
// however many connections arrive.
type boundedListener struct {
	net.Listener
	max int
	// unfinished has a value for each connection that its user has not closed. It has room
	// for more than max, because the user closes a replaced connection a little later.
	unfinished chan struct{}
	closed     chan struct{}
	closeOnce  sync.Once

	mu      sync.Mutex
	changed *sync.Cond     // a connection was read or closed, or the listener was closed
	open    []*boundedConn // oldest first
}

func newBoundedListener(l net.Listener, maxOpen int) *boundedListener {
	b := &boundedListener{Listener: l, max: maxOpen, unfinished: make(chan struct{}, maxOpen*3/2), closed: make(chan struct{})}
	b.changed = sync.NewCond(&b.mu)
	return b
}

// Accept implements net.Listener. If too many connections are open, it closes one.
func (l *boundedListener) Accept() (net.Conn, error) {
	select {
	case l.unfinished <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.unfinished
		return nil, err
	}
	limitReceiveBuffer(c)
	b := &boundedConn{Conn: c, listener: l, client: clientOf(c)}
	l.addConn(b)
	return b, nil
}

// Close implements net.Listener.
func (l *boundedListener) Close() error {
	l.closeOnce.Do(func() { close(l.closed) })
	l.mu.Lock()
	l.changed.Broadcast()
	l.mu.Unlock()
	return l.Listener.Close()
}

func (l *boundedListener) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// addConn adds a connection, and closes another if there are too many.
func (l *boundedListener) addConn(b *boundedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, b)
	for len(l.open) > l.max && !l.isClosed() {
		if i := findVictim(l.open); i >= 0 {
			l.open[i].interrupt()
			l.open = slices.Delete(l.open, i, i+1)
			return
		}
		l.changed.Wait()
	}
}

func (l *boundedListener) markRead(b *boundedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b.wasRead = true
	l.changed.Signal()
}

func (l *boundedListener) removeConn(b *boundedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = slices.DeleteFunc(l.open, func(o *boundedConn) bool { return o == b })
	l.changed.Signal()
}

// findVictim returns the index of the oldest connection of the client that has the most,
// or -1 if none of them was read yet.
func findVictim(open []*boundedConn) int {
	counts := make(map[string]int, len(open))
	for _, c := range open {
		counts[c.client]++
	}
	most := slices.MaxFunc(open, func(a, b *boundedConn) int { return counts[a.client] - counts[b.client] }).client
	return slices.IndexFunc(open, func(c *boundedConn) bool { return c.client == most && c.wasRead })
}

// boundedConn is a connection of a boundedListener.
type boundedConn struct {
	net.Conn
	listener  *boundedListener
	client    string
	readOnce  sync.Once
	closeOnce sync.Once

	wasRead bool // guarded by the listener's mu
}

// Read implements net.Conn.
func (c *boundedConn) Read(b []byte) (int, error) {
	c.readOnce.Do(func() { c.listener.markRead(c) })
	return c.Conn.Read(b)
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	c.closeOnce.Do(func() {
		c.listener.removeConn(c)
		<-c.listener.unfinished
	})
	return c.Conn.Close()
}

// interrupt ends pending and later reads and writes, whereupon the user closes the
// connection. Unlike Close, it waits for nothing.
func (c *boundedConn) interrupt() {
	if t, ok := c.Conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // leave nothing in the kernel
		_ = t.CloseRead()
		_ = t.CloseWrite()
	}
}

// clientOf returns the address of the client without its port.
func clientOf(c net.Conn) string {
	if t, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return string(t.IP)
	}
	return ""
}

// limitReceiveBuffer limits the kernel's memory for a connection: requests are small.
func limitReceiveBuffer(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetReadBuffer(2 * MaxHeaderBytes)
	}
}
