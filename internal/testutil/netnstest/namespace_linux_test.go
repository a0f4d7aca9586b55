package netnstest_test

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

var (
	server = netip.MustParseAddrPort("127.0.0.1:80")
	any4   = netip.AddrPort{}
)

func newNetnsOf100Ports(t *testing.T) *netnstest.Netns {
	n := netnstest.New(t)
	n.WriteSysctl("net.ipv4.ip_local_port_range", "40000 40099")
	return n
}

func closePairs(t *testing.T, n *netnstest.Netns, l *testnet.Socket, count int, end func(testnet.Pair) error) {
	t.Helper()
	var made []testnet.Pair // all before the first is closed: a new client with the same
	for range count {       // port may replace a server's TIME_WAIT
		made = append(made, n.Dial(l, any4, server))
	}
	for _, p := range made {
		if err := end(p); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPlainConnectsFailWithEADDRNOTAVAILAfterAsManyAsExhaustReturns(t *testing.T) {
	n := newNetnsOf100Ports(t)
	n.Listen("127.0.0.1:80")
	if got := n.Exhaust(any4, server); got != 100 {
		t.Errorf("Exhaust = %d, want 100", got)
	}
	n.AwaitStates(tcpstate.Counts{tcpstate.Listen: 1}) // no socket is left
	for i := range 100 {
		if _, err := n.Connect(any4, server); err != nil {
			t.Fatalf("connect %d: %v", i, err)
		}
	}
	if _, err := n.Connect(any4, server); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("connect 101: %v, want EADDRNOTAVAIL", err)
	}
	if got := n.Exhaust(any4, server); got != 0 {
		t.Errorf("Exhaust of the full pool = %d, want 0", got)
	}
	if got := n.Exhaust(netip.MustParseAddrPort("127.0.0.2:0"), server); got != 100 {
		t.Errorf("Exhaust from another source = %d, want 100", got)
	}
	if _, err := n.Connect(netip.MustParseAddrPort("127.0.0.2:0"), server, testnet.Repair); err != nil {
		t.Fatal(err)
	}
	if got := n.Exhaust(any4, netip.MustParseAddrPort("127.0.0.9:80")); got != 100 {
		t.Errorf("Exhaust beside a socket with a bound source = %d, want 100", got)
	}
	if got := n.ExhaustBind(netip.MustParseAddr("0.0.0.0")); got != 0 {
		t.Errorf("ExhaustBind = %d, want 0", got)
	}
}

func TestClosingAPairLeavesExactlyItsState(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(testnet.Pair) error
		want tcpstate.Counts
		then int // sockets that connect() afterwards
	}{
		"nothing is left of a reset pair":              {testnet.Pair.Close, tcpstate.Counts{}, 100},
		"the first to close is in TIME_WAIT":           {testnet.Pair.EnterTimeWait, tcpstate.Counts{tcpstate.TimeWait: 20}, 80},
		"a server that closes first keeps no port":     {func(p testnet.Pair) error { return p.Swap().EnterTimeWait() }, tcpstate.Counts{tcpstate.TimeWait: 20}, 100},
		"a client that doesn't close is in CLOSE_WAIT": {testnet.Pair.EnterCloseWait, tcpstate.Counts{tcpstate.CloseWait: 20, tcpstate.FinWait2: 20}, 80},
		"a server that doesn't close leaves FIN_WAIT2": {testnet.Pair.EnterFinWait2, tcpstate.Counts{tcpstate.CloseWait: 20, tcpstate.FinWait2: 20}, 80},
		"a pair that is not closed is ESTABLISHED":     {func(testnet.Pair) error { return nil }, tcpstate.Counts{tcpstate.Established: 40}, 80},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetnsOf100Ports(t)
			n.WriteSysctl("net.ipv4.tcp_tw_reuse", "0")
			closePairs(t, n, n.Listen("127.0.0.1:80"), 20, c.end)
			c.want[tcpstate.Listen] = 1
			n.AwaitStates(c.want)
			if got := n.Exhaust(any4, server); got != c.then {
				t.Errorf("afterwards %d sockets connect, want %d", got, c.then)
			}
		})
	}
}

func TestAListenerThatDropsPacketsLeavesItsClientsInSynSent(t *testing.T) {
	n := newNetnsOf100Ports(t)
	if err := n.Listen("127.0.0.1:80").DropPackets(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := n.StartConnect(any4, server); err != nil {
			t.Fatal(err)
		}
	}
	n.AwaitStates(tcpstate.Counts{tcpstate.Listen: 1, tcpstate.SynSent: 100})
	if _, err := n.StartConnect(any4, server); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("connect 101: %v, want EADDRNOTAVAIL", err)
	}
}

func TestBindBeforeConnectUsesThePortForEveryDestination(t *testing.T) {
	n := newNetnsOf100Ports(t)
	l := n.Listen("0.0.0.0:80")
	for range 60 {
		if _, err := n.DialBound(l, netip.MustParseAddrPort("0.0.0.0:0"), server); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.Exhaust(any4, netip.MustParseAddrPort("127.0.0.2:80")); got != 40 {
		t.Errorf("afterwards %d sockets connect elsewhere, want 40", got)
	}
}

func TestReservedPortsAndSocketRangesNarrowThePool(t *testing.T) {
	n := newNetnsOf100Ports(t)
	n.WriteSysctl("net.ipv4.ip_local_reserved_ports", "40000-40050")
	if got := n.Exhaust(any4, server); got != 49 {
		t.Errorf("Exhaust = %d, want 49", got)
	}
	got, err := n.Namespace.Exhaust(any4, server, testnet.LocalPortRange(ports.Range{First: 40051, Last: 40060}))
	if errors.Is(err, unix.ENOPROTOOPT) {
		t.Skip("this kernel has no IP_LOCAL_PORT_RANGE (Linux 6.3)")
	}
	if got != 10 || err != nil {
		t.Errorf("Exhaust in a narrowed range = %d (%v), want 10", got, err)
	}
}

func TestIPv6AndMappedIPv4(t *testing.T) {
	n := newNetnsOf100Ports(t)
	if got := n.Exhaust(any4, netip.MustParseAddrPort("[::1]:80")); got != 100 {
		t.Errorf("Exhaust of IPv6 = %d, want 100", got)
	}
	for range 30 {
		if _, err := n.Connect(any4, server, testnet.Repair); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.Exhaust(any4, netip.MustParseAddrPort("[::ffff:127.0.0.1]:80")); got != 70 {
		t.Errorf("Exhaust of mapped IPv4 = %d, want 70", got)
	}
}

func TestUDPPorts(t *testing.T) {
	n := newNetnsOf100Ports(t)
	for name, fn := range map[string]func() (int, error){
		"bind":    func() (int, error) { return n.ExhaustBindUDP(netip.MustParseAddr("0.0.0.0")) },
		"connect": func() (int, error) { return n.ExhaustConnectUDP(server) },
	} {
		if got, err := fn(); got != 100 || err != nil {
			t.Errorf("%s gives %d (%v), want 100", name, got, err)
		}
	}
}

func TestTimeWaitOverVethIsNotReusedByTheLoopbackSetting(t *testing.T) {
	a, b := newNetnsOf100Ports(t), netnstest.New(t)
	a.ConnectVeth(b, "10.99.0.1/24", "10.99.0.2/24")
	a.WriteSysctl("net.ipv4.tcp_tw_reuse", "2")
	l, far := b.Listen("10.99.0.2:80"), netip.MustParseAddrPort("10.99.0.2:80")
	for range 100 {
		if err := a.Dial(l, any4, far).EnterTimeWait(); err != nil {
			t.Fatal(err)
		}
	}
	a.AwaitStates(tcpstate.Counts{tcpstate.TimeWait: 100})
	if got := a.Exhaust(any4, far); got != 0 {
		t.Errorf("afterwards %d sockets connect, want 0", got)
	}
}

func TestANamespaceIsNotTheProcesssOwn(t *testing.T) {
	n := netnstest.New(t)
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var inside string
	n.Do(func() { inside, err = os.Readlink("/proc/thread-self/ns/net") })
	if err != nil || inside == own || !strings.Contains(inside, ":[") {
		t.Errorf("inside is %q (%v), own is %q", inside, err, own)
	}
}

func TestACommandRunsInsideAndEndsWithTheNamespace(t *testing.T) {
	n := netnstest.New(t)
	c := exec.Command("sleep", "1000")
	n.Start(c)
	var st unix.Stat_t
	if err := unix.Stat("/proc/"+strconv.Itoa(c.Process.Pid)+"/ns/net", &st); err != nil || st.Ino != n.Inode() {
		t.Errorf("the command's namespace is %d (%v), want %d", st.Ino, err, n.Inode())
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if c.ProcessState == nil {
		t.Error("the command outlives the namespace")
	}
}

func TestAnOrphanHasNoDescriptor(t *testing.T) {
	n := newNetnsOf100Ports(t)
	p := n.Dial(n.Listen("127.0.0.1:80"), any4, server)
	if err := p.EnterFinWait2(); err != nil {
		t.Fatal(err)
	}
	if p.Client.FD() != -1 || p.Server.FD() < 0 {
		t.Errorf("descriptors: client %d, server %d; want only the server's", p.Client.FD(), p.Server.FD())
	}
}
