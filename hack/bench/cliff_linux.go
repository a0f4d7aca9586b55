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

// The range that Linux begins with (net.ipv4.ip_local_port_range), and where the
// connections go: the first destination of testnet.Load's Established.
const (
	cliffFirst, cliffLast = 32768, 60999
	cliffServer           = "127.101.0.0:443"
)

// measureCliff fills one pool step by step with connections that stay, and times
// connect() at each step: plain, to a listener over loopback, with its handshake.
// Each of these is reset at once, and so the fill stays.
func measureCliff(fills []float64, connects int) (c cliff, err error) {
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
	held := 0
	for _, fill := range fills {
		used := int(fill / 100 * float64(c.ports))
		if used > held {
			if _, err := s.StartLoad(testnet.Load{Established: used - held, Destinations: 1}); err != nil {
				return c, fmt.Errorf("fill the pool to %d of %d: %w", used, c.ports, err)
			}
			held = used
		}
		p := cliffPoint{percent: fill}
		s.Do(func() { err = p.time(listener, server, connects) })
		if err != nil {
			return c, fmt.Errorf("connect at %.0f %%: %w", fill, err)
		}
		c.points = append(c.points, p)
		fmt.Fprintf(os.Stderr, "connect() at %s: %.0f µs\n", p.name(), micro(p.took, 0.5))
	}
	return c, nil
}

// time connects and lets go, again and again. It fails when some are refused and
// some are not.
func (p *cliffPoint) time(l *testnet.Socket, server netip.AddrPort, count int) error {
	for i := range count {
		k, err := testnet.Open(server.Addr(), unix.SOCK_STREAM)
		if err != nil {
			return err
		}
		begin, cpu := time.Now(), threadTime()
		err = k.Connect(server)
		p.cpu, p.took = append(p.cpu, threadTime()-cpu), append(p.took, time.Since(begin))
		refused := errors.Is(err, unix.EADDRNOTAVAIL)
		switch {
		case i > 0 && refused != p.refused:
			err = fmt.Errorf("connect %d: refused is %v, and was %v before", i, refused, p.refused)
		case refused:
			err, p.refused = nil, true
		case err == nil:
			err = letGo(l)
		}
		if err := errors.Join(err, k.Close()); err != nil {
			return err
		}
	}
	return nil
}

// letGo resets the listener's end of the next connection.
func letGo(l *testnet.Socket) error {
	k, _, err := l.Accept()
	if err != nil {
		return err
	}
	return k.Close()
}

// threadTime is the CPU time of the calling thread, which must be locked.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err) // it can only fail for a bad argument
	}
	return time.Duration(t.Nano())
}
