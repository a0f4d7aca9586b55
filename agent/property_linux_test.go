package agent_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

var (
	seed      = flag.Uint64("seed", 1, "seed of the random scenarios")
	scenarios = flag.Int("scenarios", 200, "number of random scenarios")
)

// Random sockets in two namespaces a scenario: what is reported is what the
// kernel then gives, and the upper bound is never below it.
func TestRandomScenarios(t *testing.T) {
	rs := readers(t)
	together := 20 // wait once for their TIME_WAIT sockets to age
	for first := 0; first < *scenarios; {
		t.Run(fmt.Sprintf("from %d on", first), func(t *testing.T) {
			checked := randomScenarios(t, rs, first, together)
			if first += checked; checked < together {
				together = max(1, together/2)
			}
		})
		if t.Failed() {
			return
		}
	}
}

// randomScenarios are count of them from first on. It returns how many it checked: on a
// busy machine the TIME_WAIT sockets of the others could be gone.
func randomScenarios(t *testing.T, rs map[string]reader, first, count int) int {
	born := time.Now()
	var made []*random
	for i := range count {
		for twin := range uint64(2) {
			x := &random{newScene(t, rs), rand.New(rand.NewPCG(*seed, uint64(first+i)<<1|twin)), nil}
			x.make()
			made = append(made, x)
		}
	}
	made[0].age()
	for i, x := range made {
		if time.Since(born) > 40*time.Second && count > 1 {
			return i / 2
		}
		x.check()
		if t.Failed() {
			t.Fatalf("scenario %d of seed %d: %v", first+i/2, *seed, x.log)
		}
	}
	return count
}

// random is a scene with sockets of a random kind.
type random struct {
	*scene
	rand *rand.Rand
	log  []string
}

var (
	sources = []netip.AddrPort{home, ap("127.0.0.9:0"), wildcard}
	peers   = []netip.AddrPort{server, elsewhere, ap("127.0.0.1:81"), ap("127.0.0.1:40033")}
	peers6  = []netip.AddrPort{ap("[::1]:80"), ap("[::1]:81")}
)

func (x *random) say(format string, a ...any) { x.log = append(x.log, fmt.Sprintf(format, a...)) }

func (x *random) set(key, value string) {
	x.say("%s=%s", key, value)
	x.WriteSysctl(key, value)
}

func (x *random) make() {
	x.t.Helper()
	x.set("net.ipv4.tcp_tw_reuse", fmt.Sprint(x.rand.IntN(3)))
	if x.rand.IntN(3) == 0 {
		first := 40000 + x.rand.IntN(100)
		x.set("net.ipv4.ip_local_reserved_ports", fmt.Sprintf("40002,%d-%d", first, first+x.rand.IntN(40)))
	}
	if x.rand.IntN(5) == 0 {
		x.set("net.ipv4.tcp_timestamps", "0")
	}
	listeners := map[uint16]*testnet.Socket{}
	for _, port := range []uint16{80, 81, 40033} {
		if port == 40033 && x.rand.IntN(2) == 0 {
			continue
		}
		listeners[port] = x.Listen(fmt.Sprintf("[::]:%d", port))
	}
	for range 5 + x.rand.IntN(20) {
		x.step(listeners)
	}
}

// step makes up to 12 sockets of one kind. Running out of ports is part of it.
func (x *random) step(listeners map[uint16]*testnet.Socket) {
	x.t.Helper()
	src, dst := x.way()
	l := listeners[dst.Port()]
	count, kind := 1+x.rand.IntN(12), x.rand.IntN(10)
	x.say("%d of kind %d from %v to %v", count, kind, src, dst)
	for range count {
		var err error
		switch {
		case kind == 0:
			_, err = x.Bind(src)
		case kind == 1:
			_, err = x.BindUDP(src)
		case kind == 2:
			_, err = x.BindConnect(src, dst, testnet.Repair)
		case kind == 3:
			_, err = x.Namespace.Listen(netip.AddrPortFrom(src.Addr(), uint16(40000+x.rand.IntN(100))))
		case kind == 4 || l == nil:
			_, err = x.Connect(src, dst, testnet.Repair)
		default:
			err = x.pair(kind, l, src, dst)
		}
		if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EADDRINUSE) {
			return
		}
		if err != nil {
			x.t.Fatalf("%v: %v", x.log, err)
		}
	}
}

func (x *random) way() (src, dst netip.AddrPort) {
	src, dst = sources[x.rand.IntN(len(sources))], peers[x.rand.IntN(len(peers))]
	switch x.rand.IntN(4) {
	case 0:
		return ap("[::1]:0"), peers6[x.rand.IntN(len(peers6))]
	case 1:
		return mapped(src), mapped(dst)
	}
	return src, dst
}

func mapped(a netip.AddrPort) netip.AddrPort {
	if a.Addr().IsUnspecified() {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), a.Port())
	}
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
}

// pair makes a connection with a peer and ends it, or leaves it.
func (x *random) pair(kind int, l *testnet.Socket, src, dst netip.AddrPort) error {
	dial := x.Namespace.Dial
	if kind%2 == 0 {
		dial = x.DialBound
	}
	p, err := dial(l, src, dst)
	if err != nil {
		return err
	}
	switch x.rand.IntN(6) {
	case 0:
		return p.Swap().EnterTimeWait()
	case 1:
		return p.EnterCloseWait()
	case 2:
		return p.EnterFinWait2()
	case 3:
		return nil
	}
	return p.EnterTimeWait()
}

func (x *random) check() {
	x.t.Helper()
	for _, src := range sources[:2] {
		for _, dst := range peers {
			x.agree(connectFrom(src, dst))
		}
	}
	for _, dst := range peers6 {
		x.agree(connectTo(dst))
	}
	x.agree(connectFrom(mapped(home), mapped(server)))
	x.agree(connectTo(ap("127.0.0.77:7")))
	x.agree(bindAny)
	x.agree(bindUDP)
	x.totals()
}

// totals holds the counts by state against /proc/net/tcp, which tells
// FIN_WAIT2 without a process as TIME_WAIT's own kind of socket, too.
func (x *random) totals() {
	x.t.Helper()
	want, err := x.CountStates()
	if err != nil {
		x.t.Fatal(err)
	}
	for name, r := range x.readers {
		if !r.exact {
			continue
		}
		sample := x.sample(r)
		got := network(x.t, &sample, x.Inode()).States
		got[tcpstate.Bound] = 0
		if got != want {
			x.t.Errorf("%s counts %v, /proc/net/tcp %v", name, got, want)
		}
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	if slow {
		*scenarios /= 10
	}
	os.Exit(m.Run())
}
