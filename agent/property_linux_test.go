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

// With random sockets in two namespaces per scenario, exact readers report the headroom
// that the kernel then gives, and upper bounds are never below it.
func TestRandomScenarios(t *testing.T) {
	rs := openReaders(t)
	batch := 20 // scenarios that wait together for their TIME_WAIT sockets to age
	for first := 0; first < *scenarios; {
		t.Run(fmt.Sprintf("from %d", first), func(t *testing.T) {
			checked := checkScenarios(t, rs, first, batch)
			if first += checked; checked < batch {
				batch = max(1, batch/2)
			}
		})
		if t.Failed() {
			return
		}
	}
}

// checkScenarios builds count scenarios from number first on, and checks them. It returns
// the number of checked ones, because on a busy machine the TIME_WAIT sockets of the rest
// may have ended.
func checkScenarios(t *testing.T, rs map[string]testedReader, first, count int) int {
	start := time.Now()
	var made []*randomScenario
	for i := range count {
		for twin := range uint64(2) {
			x := &randomScenario{newScenario(t, rs), rand.New(rand.NewPCG(*seed, uint64(first+i)<<1|twin)), nil}
			x.addSockets()
			made = append(made, x)
		}
	}
	made[0].waitUntilReusable()
	for i, x := range made {
		if time.Since(start) > 40*time.Second && count > 1 {
			return i / 2
		}
		x.checkPools()
		if t.Failed() {
			t.Fatalf("scenario %d of seed %d: %v", first+i/2, *seed, x.log)
		}
	}
	return count
}

// randomScenario is a scenario with random sockets.
type randomScenario struct {
	*scenario
	rand *rand.Rand
	log  []string
}

var (
	sources = []netip.AddrPort{loopback, addrPort("127.0.0.9:0"), wildcard}
	peers   = []netip.AddrPort{server, elsewhere, addrPort("127.0.0.1:81"), addrPort("127.0.0.1:40033")}
	peers6  = []netip.AddrPort{addrPort("[::1]:80"), addrPort("[::1]:81")}
)

func (x *randomScenario) record(format string, a ...any) {
	x.log = append(x.log, fmt.Sprintf(format, a...))
}

func (x *randomScenario) setSysctl(key, value string) {
	x.record("%s=%s", key, value)
	x.WriteSysctl(key, value)
}

func (x *randomScenario) addSockets() {
	x.t.Helper()
	x.setSysctl("net.ipv4.tcp_tw_reuse", fmt.Sprint(x.rand.IntN(3)))
	if x.rand.IntN(3) == 0 {
		first := 40000 + x.rand.IntN(100)
		x.setSysctl("net.ipv4.ip_local_reserved_ports", fmt.Sprintf("40002,%d-%d", first, first+x.rand.IntN(40)))
	}
	if x.rand.IntN(5) == 0 {
		x.setSysctl("net.ipv4.tcp_timestamps", "0")
	}
	listeners := map[uint16]*testnet.Socket{}
	for _, port := range []uint16{80, 81, 40033} {
		if port == 40033 && x.rand.IntN(2) == 0 {
			continue
		}
		listeners[port] = x.Listen(fmt.Sprintf("[::]:%d", port))
	}
	for range 5 + x.rand.IntN(20) {
		x.addSocketsOfOneKind(listeners)
	}
}

// addSocketsOfOneKind creates up to 12 sockets of one kind. It may run out of ports.
func (x *randomScenario) addSocketsOfOneKind(listeners map[uint16]*testnet.Socket) {
	x.t.Helper()
	src, dst := x.chooseAddresses()
	l := listeners[dst.Port()]
	count, kind := 1+x.rand.IntN(12), x.rand.IntN(10)
	x.record("%d of kind %d from %v to %v", count, kind, src, dst)
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
			err = x.makeRandomPair(kind, l, src, dst)
		}
		if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EADDRINUSE) {
			return
		}
		if err != nil {
			x.t.Fatalf("%v: %v", x.log, err)
		}
	}
}

func (x *randomScenario) chooseAddresses() (src, dst netip.AddrPort) {
	src, dst = sources[x.rand.IntN(len(sources))], peers[x.rand.IntN(len(peers))]
	switch x.rand.IntN(4) {
	case 0:
		return addrPort("[::1]:0"), peers6[x.rand.IntN(len(peers6))]
	case 1:
		return mapToIPv6(src), mapToIPv6(dst)
	}
	return src, dst
}

func mapToIPv6(a netip.AddrPort) netip.AddrPort {
	if a.Addr().IsUnspecified() {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), a.Port())
	}
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
}

// makeRandomPair opens a connection, and ends it or leaves it open.
func (x *randomScenario) makeRandomPair(kind int, l *testnet.Socket, src, dst netip.AddrPort) error {
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

func (x *randomScenario) checkPools() {
	x.t.Helper()
	for _, src := range sources[:2] {
		for _, dst := range peers {
			x.checkHeadroom(connectFrom(src, dst))
		}
	}
	for _, dst := range peers6 {
		x.checkHeadroom(connectTo(dst))
	}
	x.checkHeadroom(connectFrom(mapToIPv6(loopback), mapToIPv6(server)))
	x.checkHeadroom(connectTo(addrPort("127.0.0.77:7")))
	x.checkHeadroom(bindAny)
	x.checkHeadroom(bindUDP)
	x.checkStates()
}

// checkStates compares the counts by state with /proc/net/tcp. Like the readers it shows
// orphaned FIN_WAIT2 sockets, which the kernel keeps as TIME_WAIT sockets, as FIN_WAIT2.
func (x *randomScenario) checkStates() {
	x.t.Helper()
	want, err := x.CountStates()
	if err != nil {
		x.t.Fatal(err)
	}
	for name, r := range x.readers {
		if !r.isExact {
			continue
		}
		sample := x.takeSample(r)
		got := findNetwork(x.t, &sample, x.Inode()).States
		got[tcpstate.Bound] = 0
		if got != want {
			x.t.Errorf("%s counts %v, /proc/net/tcp %v", name, got, want)
		}
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	if isEmulated {
		*scenarios /= 10
	}
	os.Exit(m.Run())
}
