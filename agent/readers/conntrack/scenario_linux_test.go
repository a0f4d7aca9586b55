package conntrack

import (
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

// natScenario has a client and a server, and a router between them that translates the
// client's connections to its own address.
type natScenario struct {
	tb                     testing.TB
	client, router, server *netnstest.Netns
}

// The router's translated source addresses, and the server's addresses.
var (
	translated  = netip.MustParseAddr("10.2.0.1")
	translated6 = netip.MustParseAddr("fd00:2::1")
	serverAt    = netip.MustParseAddr("10.2.0.2")
	serverAt6   = netip.MustParseAddr("fd00:2::2")
)

// newNATScenario returns a scenario. rule is a statement of nft, such as "masquerade to
// :40000-40099".
func newNATScenario(tb testing.TB, rule string) *natScenario {
	tb.Helper()
	s := &natScenario{tb, netnstest.New(tb), netnstest.New(tb), netnstest.New(tb)}
	// The server is in the client's subnet, and the router answers for it (proxy ARP).
	s.addLink("left", s.client, s.router, "10.0.0.2/8", "10.0.0.1/24")
	s.addLink("right", s.router, s.server, "10.2.0.1/24", "10.2.0.2/24")
	s.addLink("left6", s.client, s.router, "fd00:1::2/16", "fd00:1::1/64")
	s.addLink("right6", s.router, s.server, "fd00:2::1/64", "fd00:2::2/64")
	s.router.WriteSysctl("net.ipv4.ip_forward", "1")
	s.router.WriteSysctl("net.ipv4.conf.all.proxy_arp", "1")
	s.router.WriteSysctl("net.ipv6.conf.all.forwarding", "1")
	s.runProgram("ip", "-6", "neigh", "add", "proxy", serverAt6.String(), "dev", "left6")
	s.router.WriteSysctl("net.ipv6.conf.all.proxy_ndp", "1")
	s.addRules("table inet t { chain c { type nat hook postrouting priority srcnat; meta l4proto { tcp, udp } oifname { right, right6 } " + rule + "; }; }")
	return s
}

func (s *natScenario) addLink(name string, a, b *netnstest.Netns, addrA, addrB string) {
	s.tb.Helper()
	if err := testnet.ConnectVeth(a.Namespace, b.Namespace, name, netip.MustParsePrefix(addrA), netip.MustParsePrefix(addrB)); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *natScenario) addRules(rules string) {
	s.tb.Helper()
	s.runProgram("nft", rules)
}

// runProgram runs a program in the router's namespace. It is from one of the Debian
// packages nftables and iproute2.
func (s *natScenario) runProgram(name string, args ...string) {
	s.tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		s.tb.Skipf("%v: run make deps", err)
	}
	cmd := exec.Command(path, args...)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	s.router.Start(cmd)
	if err := cmd.Wait(); err != nil {
		s.tb.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, output.String())
	}
}

// dialThroughRouter connects the client and accepts the connection at the server.
// testnet.Dial would expect the client's own address there.
func (s *natScenario) dialThroughRouter(l *testnet.Socket, to netip.AddrPort) testnet.Pair {
	s.tb.Helper()
	c, err := s.client.Connect(netip.AddrPort{}, to)
	if err != nil {
		s.tb.Fatal(err)
	}
	k, _, err := l.Accept()
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { _ = k.Close() }) // its namespace may have been removed
	return testnet.Pair{Client: c, Server: k}
}

// readTable reads the router's table.
func (s *natScenario) readTable() (t poolCounter) {
	s.tb.Helper()
	var err error
	s.router.Do(func() { t, _, err = readTable(newSNATRequest(), make([]byte, netlink.BufferSize)) })
	if err != nil {
		s.tb.Fatal(err)
	}
	return t
}

// listPools returns the router's pools. canEvict is false for a Linux before 6.5.
func (s *natScenario) listPools(canEvict, isFailing bool) []socket.SNATPool {
	s.tb.Helper()
	t := s.readTable()
	return t.listFullest(canEvict, isFailing)
}

func (s *natScenario) readInsertFailed() uint64 {
	s.tb.Helper()
	var file []byte
	var err error
	s.router.Do(func() { file, err = os.ReadFile("/proc/thread-self/net/stat/nf_conntrack") })
	if err != nil {
		s.tb.Fatal(err)
	}
	drops, err := kernelstat.ParseConntrackStat(file)
	if err != nil {
		s.tb.Fatal(err)
	}
	return drops.InsertFailed
}

// failToConnect starts a connection for which no port is left, and waits until the kernel
// counts the failure.
func (s *natScenario) failToConnect(to netip.AddrPort) {
	s.tb.Helper()
	before := s.readInsertFailed()
	if _, err := s.client.StartConnect(netip.AddrPort{}, to); err != nil {
		s.tb.Fatal(err)
	}
	s.waitUntil("insert_failed increases", func() bool { return s.readInsertFailed() > before })
}

func (s *natScenario) waitUntil(what string, done func() bool) {
	s.tb.Helper()
	for end := time.Now().Add(2 * time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.tb.Fatalf("waited 2 minutes until %s", what)
		}
	}
}
