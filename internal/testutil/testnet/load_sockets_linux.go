package testnet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/internal/tcpstate"
)

func (r *loadRunner) openEstablished(ctx context.Context) error {
	return r.forEachSocket(ctx, "ESTABLISHED", r.Established, func(i int) error {
		return r.keepOpened(Connect(netip.AddrPort{}, destinationAt(establishedDestination, i), Repair))
	})
}

func (r *loadRunner) openEstablished6(ctx context.Context) error {
	return r.forEachSocket(ctx, "IPv6 ESTABLISHED", r.Established6, func(i int) error {
		return r.keepOpened(Connect(netip.AddrPort{}, netip.AddrPortFrom(netip.IPv6Loopback(), uint16(1+i%0xffff)), Repair))
	})
}

func (r *loadRunner) openCloseWait(ctx context.Context) error {
	return r.forEachSocket(ctx, "CLOSE_WAIT", r.CloseWait, func(i int) error {
		k, err := Connect(netip.AddrPort{}, destinationAt(closeWaitDestination, i))
		if err != nil {
			return err
		}
		r.keepSocket(k)
		return k.AwaitState(tcpstate.CloseWait)
	})
}

func (r *loadRunner) openSynSent(ctx context.Context) error {
	return r.forEachSocket(ctx, "SYN_SENT", r.SynSent, func(i int) error {
		return r.keepOpened(StartConnect(netip.AddrPort{}, destinationAt(synSentDestination, i)))
	})
}

// openInbound binds to the listener's port, which Repair allows, and connects to clients
// that don't exist, each with a port of its own at one of the destinations.
func (r *loadRunner) openInbound(ctx context.Context) error {
	var mu sync.Mutex
	next := map[int]uint16{}
	return r.forEachSocket(ctx, "inbound", r.Inbound, func(i int) error {
		mu.Lock()
		next[i]++
		port := next[i]
		mu.Unlock()
		first := netip.AddrFrom4([4]byte{127, byte(150 + r.part)}) // each part has its own
		return r.keepOpened(BindConnect(inboundListener, destinationAt(netip.AddrPortFrom(first, port), i), Repair))
	})
}

func (r *loadRunner) keepOpened(k *Socket, err error) error {
	if err == nil {
		r.keepSocket(k)
	}
	return err
}

// openTimeWait closes the client of each connection first. It needs no descriptors, but
// has to be quick, because the first sockets expire after 60 s.
func (r *loadRunner) openTimeWait(ctx context.Context) error {
	if r.TimeWait == 0 {
		return nil
	}
	l, err := Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), timeWaitDestination.Port()))
	if err != nil {
		return fmt.Errorf("listen for TIME_WAIT: %w", err)
	}
	r.keepSocket(l)
	started := time.Now()
	before, err := countTimeWait()
	if err != nil {
		return err
	}
	err = r.forEachSocket(ctx, "TIME_WAIT", r.TimeWait, func(i int) error {
		return leaveTimeWait(l.fd, destinationAt(timeWaitDestination, i))
	})
	if err != nil {
		return err
	}
	return awaitTimeWait(before+r.TimeWait, started)
}

// leaveTimeWait connects and closes, and then closes the server's end of some client's
// connection. Every client is closed before its worker accepts, so that no worker
// waits for another. The listener has a timeout; accepted sockets need none.
func leaveTimeWait(listener int, dst netip.AddrPort) error {
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = retryInterrupted(func() error { return unix.Connect(c, toSockaddr(dst)) })
	if err := errors.Join(err, unix.Close(c)); err != nil {
		return err
	}
	var s int
	err = retryInterrupted(func() (err error) {
		s, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
		return err
	})
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	k := &Socket{s}
	return errors.Join(k.awaitFIN(), k.CloseGently())
}

// closeQuickly is EnterTimeWait without waiting for the last acknowledgements.
func (p Pair) closeQuickly() error {
	if err := p.Client.CloseGently(); err != nil {
		return errors.Join(err, p.Server.Close())
	}
	return errors.Join(p.Server.awaitFIN(), p.Server.CloseGently())
}

// forEachSocket calls fn n times, with the number of a destination, on every CPU.
func (r *loadRunner) forEachSocket(ctx context.Context, what string, n int, fn func(destination int) error) error {
	dests, workers := r.countDestinations(n), runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil && ctx.Err() == nil; i += workers {
				errs[w] = fn(i % dests)
			}
		})
	}
	wg.Wait()
	err := errors.Join(errors.Join(errs...), context.Cause(ctx))
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("%d %s sockets to %d destinations: no port is free: use more destinations, or widen net.ipv4.ip_local_port_range", n, what, dests)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// countTimeWait returns the namespace's count of TIME_WAIT (with FIN_WAIT2 orphans).
func countTimeWait() (int, error) {
	b, err := os.ReadFile("/proc/thread-self/net/sockstat")
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(b), " tw ")
	var n int
	if _, err := fmt.Sscan(after, &n); err != nil {
		return 0, fmt.Errorf("sockstat %q has no tw count: %w", b, err)
	}
	return n, nil
}

// awaitTimeWait waits until the last FINs are processed.
func awaitTimeWait(want int, since time.Time) error {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		have, err := countTimeWait()
		if err != nil || have >= want {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d TIME_WAIT sockets exist %v after the first, and they last 60 s: use fewer, or run less beside it",
				have, want, time.Since(since).Round(time.Second))
		}
	}
}
