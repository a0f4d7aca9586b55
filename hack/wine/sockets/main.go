// Command sockets makes TCP sockets by Windows' API, for tests of what the agent sees
// and of what a program gets when ports run out:
//
//	sockets N STATE ADDRESS    ADDRESS, such as 127.0.0.1:5432, is where it listens itself
//
// It connects up to N times, brings the clients' sockets into STATE (established,
// closewait or timewait), prints "MADE of N" and, where a connect failed, the number of
// its error (WSAEADDRINUSE is 10048), and keeps the sockets until its input ends. It
// runs anywhere.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sockets:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: sockets N STATE ADDRESS")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	finish := map[string]func(client, server net.Conn) error{
		"established": func(net.Conn, net.Conn) error { return nil },
		"closewait":   func(_, server net.Conn) error { return server.Close() },
		"timewait":    closeClientFirst,
	}[args[1]]
	if finish == nil {
		return fmt.Errorf("STATE %q: must be established, closewait or timewait", args[1])
	}
	l, err := (&net.ListenConfig{KeepAlive: -1}).Listen(context.Background(), "tcp", args[2])
	if err != nil {
		return err
	}
	made, end := openSockets(l, n, finish)
	fmt.Printf("%d of %d", made, n)
	if errno := syscall.Errno(0); errors.As(end, &errno) {
		fmt.Printf(" %d", uint(errno))
	}
	fmt.Println()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// openConnections are the connections: one that is collected is closed.
var openConnections []net.Conn

// openSockets makes n connections to l, or as many as there can be. None is probed: that
// would end what is in CLOSE_WAIT once the other end is gone.
func openSockets(l net.Listener, n int, finish func(client, server net.Conn) error) (int, error) {
	for i := range n {
		client, err := (&net.Dialer{KeepAlive: -1}).Dial("tcp", l.Addr().String())
		if err != nil {
			return i, err
		}
		server, err := l.Accept()
		if err != nil {
			return i, err
		}
		openConnections = append(openConnections, client, server)
		if err := finish(client, server); err != nil {
			return i, err
		}
	}
	return n, nil
}

// closeClientFirst closes the client's end first.
func closeClientFirst(client, server net.Conn) error {
	if err := client.Close(); err != nil {
		return err
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the client's end, and then: %w", err)
	}
	return server.Close()
}
