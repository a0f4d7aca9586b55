package httpserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// startServer starts a server that answers "ok", and returns its address and listener.
func startServer(t *testing.T) (string, *boundedListener) {
	t.Helper()
	l, err := Listen(t.Context(), "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := New(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	ended := make(chan error)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the server ended with %v", err)
		}
	})
	bounded, ok := l.(*requestListener).Listener.(*boundedListener)
	if !ok {
		t.Fatal("the listener is not bounded")
	}
	return l.Addr().String(), bounded
}

// dial opens a connection from a loopback address, which is closed when the test ends.
func dial(t *testing.T, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}
	c, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// get sends a request on a connection and returns the response's status, or an error.
func get(c net.Conn, header string) (int, error) {
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n"+header+"\r\n"); err != nil {
		return 0, err
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return 0, err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, r.Body)
	return r.StatusCode, errors.Join(err, r.Body.Close())
}

func waitFor(t *testing.T, what string, isTrue func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, time.Minute, true,
		func(context.Context) (bool, error) { return isTrue(), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func (l *boundedListener) countOpen() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

func TestTheNumberOfConnectionsIsLimitedAndEachNewOneIsServed(t *testing.T) {
	address, l := startServer(t)
	var idle []net.Conn
	for range 3 * MaxConnections {
		idle = append(idle, dial(t, "127.0.0.1", address))
	}
	if status, err := get(dial(t, "127.0.0.1", address), ""); status != http.StatusOK {
		t.Errorf("a new connection got %d, %v", status, err)
	}
	if n := l.countOpen(); n > MaxConnections {
		t.Errorf("%d connections are open, more than %d", n, MaxConnections)
	}
	if _, err := idle[0].Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Error("the oldest connection is still open")
	}
	waitFor(t, "replaced connections are finished", func() bool { return len(l.unfinished) <= MaxConnections+1 })
}

// A client with one connection keeps it while another opens as many as it can.
func TestAFloodReplacesOnlyItsOwnConnections(t *testing.T) {
	address, _ := startServer(t)
	kept := dial(t, "127.0.0.2", address)
	for range 3 * MaxConnections {
		dial(t, "127.0.0.1", address)
	}
	if status, err := get(kept, ""); status != http.StatusOK {
		t.Errorf("after the flood: %d, %v", status, err)
	}
}

func TestRequestsAreLimited(t *testing.T) {
	address, _ := startServer(t)
	const line = len("X: \r\n")
	base := len("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	tests := map[string]struct {
		header string
		want   int // 0 for a closed connection
	}{
		"A header of 8 KiB":             {"X: " + strings.Repeat("x", MaxHeaderBytes-base-line) + "\r\n", http.StatusOK},
		"A header of more than 8 KiB":   {"X: " + strings.Repeat("x", MaxHeaderBytes-base-line+1) + "\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"A body":                        {"Content-Length: 5\r\n", 0},
		"A body of unknown length":      {"Transfer-Encoding: chunked\r\n", 0},
		"A small request":               {"", http.StatusOK},
		"Another version of HTTP asked": {"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", http.StatusOK},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status, err := get(dial(t, "127.0.0.1", address), test.header)
			if status != test.want {
				t.Errorf("status %d, %v; want %d", status, err, test.want)
			}
		})
	}
}

func TestAConnectionServesOneRequest(t *testing.T) {
	address, _ := startServer(t)
	c := dial(t, "127.0.0.1", address)
	if _, err := io.WriteString(c, strings.Repeat("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 50)); err != nil {
		t.Fatal(err)
	}
	answers, _ := io.ReadAll(c) // the connection may be reset
	if n := strings.Count(string(answers), "HTTP/1.1"); n > 1 {
		t.Errorf("%d answers to pipelined requests", n)
	}
}

func TestEveryStepHasATimeout(t *testing.T) {
	s := New(http.NotFoundHandler())
	for name, timeout := range map[string]time.Duration{
		"header": s.ReadHeaderTimeout, "read": s.ReadTimeout, "write": s.WriteTimeout, "idle": s.IdleTimeout,
	} {
		if timeout <= 0 {
			t.Errorf("there is no time-out for %s", name)
		}
	}
}
