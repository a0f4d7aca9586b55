package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/internal/testutil/testnet"
)

// Linux's default port range (net.ipv4.ip_local_port_range), and the destination of the
// connections: the first one of testnet.Load's Established.
const (
	cliffFirst, cliffLast = 32768, 60999
	cliffServer           = "127.101.0.0:443"
)

// measureCliff fills one pool step by step with persistent connections, and times
// connect() at each step: plain, to a listener over loopback, with its handshake.
// Each timed connection is reset at once, so the utilization does not change.
func measureCliff(utilizations []float64, connects int) (c cliff, err error) {
	s, err := testnet.New()
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.WriteSysctl("net.ipv4.ip_local_port_range", fmt.Sprintf("%d %d", cliffFirst, cliffLast)); err != nil {
		return c, err
	}
	server := netip.MustParseAddrPort(cliffServer)
	listener, err := s.Listen(server)
	if err != nil {
		return c, err
	}
	c.ports = cliffLast - cliffFirst + 1
	established := 0
	for _, percent := range utilizations {
		used := int(percent / 100 * float64(c.ports))
		if used > established {
			if _, err := s.StartLoad(testnet.Load{Established: used - established, Destinations: 1}); err != nil {
				return c, fmt.Errorf("fill the pool to %d of %d: %w", used, c.ports, err)
			}
			established = used
		}
		p := cliffPoint{percent: percent}
		s.Do(func() { err = p.timeConnects(listener, server, connects) })
		if err != nil {
			return c, fmt.Errorf("connect at %.0f %%: %w", percent, err)
		}
		c.points = append(c.points, p)
		fmt.Fprintf(os.Stderr, "connect() at %s: %.0f µs\n", p.formatLabel(), quantileMicroseconds(p.took, 0.5))
	}
	return c, nil
}

// timeConnects connects and disconnects count times. It fails if some connects are refused
// and others are not.
func (p *cliffPoint) timeConnects(l *testnet.Socket, server netip.AddrPort, count int) error {
	for i := range count {
		k, err := testnet.Open(server.Addr(), unix.SOCK_STREAM)
		if err != nil {
			return err
		}
		begin, cpu := time.Now(), threadCPUTime()
		err = k.Connect(server)
		p.cpu, p.took = append(p.cpu, threadCPUTime()-cpu), append(p.took, time.Since(begin))
		refused := errors.Is(err, unix.EADDRNOTAVAIL)
		switch {
		case i > 0 && refused != p.refused:
			err = fmt.Errorf("connect %d: refused is %v, and was %v before", i, refused, p.refused)
		case refused:
			err, p.refused = nil, true
		case err == nil:
			err = closeAccepted(l)
		}
		if err := errors.Join(err, k.Close()); err != nil {
			return err
		}
	}
	return nil
}

// closeAccepted accepts the next connection and resets it.
func closeAccepted(l *testnet.Socket) error {
	k, _, err := l.Accept()
	if err != nil {
		return err
	}
	return k.Close()
}

// threadCPUTime returns the CPU time of the calling goroutine's thread, to which the
// goroutine must be locked.
func threadCPUTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err) // fails only for an invalid argument
	}
	return time.Duration(t.Nano())
}
