package httpserver

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// requestListener reads the first request of each connection before Accept returns it. A
// connection without one costs a buffer of MaxHeaderBytes, and not the several times more
// that net/http allocates. net/http limits headers, too, but keeps the connection for half
// a second after it.
type requestListener struct {
	net.Listener
	ready   chan net.Conn
	closed  chan struct{} // when the listener has failed with err
	err     error
	buffers sync.Pool
}

func newRequestListener(l net.Listener) *requestListener {
	r := &requestListener{Listener: l, ready: make(chan net.Conn), closed: make(chan struct{})}
	r.buffers.New = func() any { return new([MaxHeaderBytes + 1]byte) }
	go r.acceptAll()
	return r
}

// Accept implements net.Listener.
func (l *requestListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.closed:
		return nil, l.err
	}
}

// acceptPause is the pause after a failed accept, such as for lack of descriptors.
const acceptPause = 10 * time.Millisecond

func (l *requestListener) acceptAll() {
	for {
		c, err := l.Listener.Accept()
		switch {
		case err == nil:
			go l.readFirst(c)
		case errors.Is(err, net.ErrClosed):
			l.err = err
			close(l.closed)
			return
		default:
			time.Sleep(acceptPause)
		}
	}
}

// readFirst makes c ready once its first request was read, or closes it.
func (l *requestListener) readFirst(c net.Conn) {
	buffer, _ := l.buffers.Get().(*[MaxHeaderBytes + 1]byte)
	h := &headerConn{Conn: c, release: func() { l.buffers.Put(buffer) }}
	n, err := readHeader(c, buffer[:])
	h.first = buffer[:n]
	if err == nil {
		select {
		case l.ready <- h:
			return
		case <-l.closed:
		}
	}
	if errors.Is(err, errHeaderTooLarge) {
		refuse(c, buffer[:])
	}
	h.release()
	c.Close()
}

// drainTime limits how long the rest of a large request is read. Without that, the client
// may get a reset before the answer.
const drainTime = 100 * time.Millisecond

func refuse(c net.Conn, buffer []byte) {
	_, err := io.WriteString(c, tooLarge)
	for _ = c.SetDeadline(time.Now().Add(drainTime)); err == nil; {
		_, err = c.Read(buffer)
	}
}

// readHeader reads until b contains the end of a header, and returns the number of bytes.
func readHeader(c net.Conn, b []byte) (n int, err error) {
	if err := c.SetDeadline(time.Now().Add(readTimeout)); err != nil {
		return 0, err
	}
	for !bytes.Contains(b[:n], []byte("\r\n\r\n")) {
		if n == len(b) {
			return n, errHeaderTooLarge
		}
		more, err := c.Read(b[n:])
		if n += more; err != nil {
			return n, err
		}
	}
	if n == len(b) {
		return n, errHeaderTooLarge
	}
	return n, c.SetDeadline(time.Time{})
}

// headerConn is a connection whose first request was read already.
type headerConn struct {
	net.Conn
	first   []byte // not yet read by the user
	release func() // of first's buffer
}

var errHeaderTooLarge = errors.New("the header is too large")

const tooLarge = "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
	"the header must be at most 8 KiB\n"

// Read implements net.Conn.
func (c *headerConn) Read(b []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(b, c.first)
		if c.first = c.first[n:]; len(c.first) == 0 {
			c.release()
		}
		return n, nil
	}
	return c.Conn.Read(b)
}
