// Churn is the load generator of the end-to-end test: a server, and a client that opens
// connections to it and closes each at once before the server does, so that it leaves a
// TIME_WAIT at the client.
//
//	churn serve ADDRESS:PORT [after TIME]
//	churn dial ADDRESS:PORT CONNECTIONS-A-SECOND
//	churn hold ADDRESS:PORT CONNECTIONS
//
// hold leaks: it opens the given number of connections and never closes them. dial counts
// connects that find no port, prints the count to standard output and continues.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "churn:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "serve":
		return serveConnections(ctx, args[1])
	case len(args) == 4 && args[0] == "serve" && args[2] == "after":
		t, err := time.ParseDuration(args[3])
		if err != nil {
			return fmt.Errorf("after %q: want a time such as 5s", args[3])
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(t):
		}
		return serveConnections(ctx, args[1])
	case len(args) == 3 && args[0] == "dial":
		rate, err := strconv.Atoi(args[2])
		if err != nil || rate < 1 || rate > 10_000 {
			return fmt.Errorf("%q connections a second: want a number from 1 to 10000", args[2])
		}
		return dialRepeatedly(ctx, args[1], rate)
	case len(args) == 3 && args[0] == "hold":
		n, err := strconv.Atoi(args[2])
		if err != nil || n < 1 || n > 50_000 {
			return fmt.Errorf("%q connections: want a number from 1 to 50000", args[2])
		}
		return openConnections(ctx, args[1], n)
	}
	return errors.New("usage: churn serve ADDRESS:PORT [after TIME] | churn dial ADDRESS:PORT RATE | " +
		"churn hold ADDRESS:PORT NUMBER")
}

func serveConnections(ctx context.Context, address string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", address)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(io.Discard, c) // until the client has closed
			_ = c.Close()
		}()
	}
}

func dialRepeatedly(ctx context.Context, address string, rate int) error {
	var dialer net.Dialer
	made, refused := 0, 0
	for tick := time.NewTicker(time.Second / time.Duration(rate)); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		c, err := dialer.DialContext(ctx, "tcp4", address)
		if err == nil {
			made++
			_ = c.Close()
			continue
		}
		if refused++; errors.Is(err, syscall.EADDRNOTAVAIL) && refused%rate == 1 {
			fmt.Printf("%d connections made, %d found no port\n", made, refused)
		} else if !errors.Is(err, syscall.EADDRNOTAVAIL) && ctx.Err() == nil {
			fmt.Println(err) // the server may not have started yet
		}
	}
}

func openConnections(ctx context.Context, address string, n int) error {
	var dialer net.Dialer
	open := make([]net.Conn, 0, n)
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if len(open) == n {
			continue
		}
		if c, err := dialer.DialContext(ctx, "tcp4", address); err == nil {
			open = append(open, c)
		}
	}
}
