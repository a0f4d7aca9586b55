// Command sockets opens TCP sockets with Windows' API, for tests of what the agent observes
// and which error a program receives when ports run out:
//
//	sockets N STATE ADDRESS    it listens on ADDRESS itself, such as 127.0.0.1:5432
//
// It connects up to N times, brings the clients' sockets into STATE (established, closewait
// or timewait) and prints "OPENED of N". If a connect failed, it adds the error number
// (WSAEADDRINUSE is 10048). It keeps the sockets open until its input ends. It runs on any
// operating system.
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
	opened, openErr := openSockets(l, n, finish)
	fmt.Printf("%d of %d", opened, n)
	if errno := syscall.Errno(0); errors.As(openErr, &errno) {
		fmt.Printf(" %d", uint(errno))
	}
	fmt.Println()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// openConnections keeps the connections from being garbage-collected and so closed.
var openConnections []net.Conn

// openSockets opens up to n connections to l. Keepalive is off, because probes would end
// sockets in CLOSE_WAIT once the other end is gone.
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

// closeClientFirst closes the client's end first, so that it enters TIME_WAIT.
func closeClientFirst(client, server net.Conn) error {
	if err := client.Close(); err != nil {
		return err
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("wait for the FIN of the client: %w", err)
	}
	return server.Close()
}
