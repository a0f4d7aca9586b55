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

// scene is a client whose connections to a server a router between them
// translates to its own address.
type scene struct {
	tb                     testing.TB
	client, router, server *netnstest.Netns
}

// What the router translates to, and to where.
var (
	translated  = netip.MustParseAddr("10.2.0.1")
	translated6 = netip.MustParseAddr("fd00:2::1")
	serverAt    = netip.MustParseAddr("10.2.0.2")
	serverAt6   = netip.MustParseAddr("fd00:2::2")
)

// newScene's rule is a statement of nft, such as "masquerade to :40000-40099".
func newScene(tb testing.TB, rule string) *scene {
	tb.Helper()
	s := &scene{tb, netnstest.New(tb), netnstest.New(tb), netnstest.New(tb)}
	// The client takes the server for a neighbour, and the router answers for it.
	s.link("left", s.client, s.router, "10.0.0.2/8", "10.0.0.1/24")
	s.link("right", s.router, s.server, "10.2.0.1/24", "10.2.0.2/24")
	s.link("left6", s.client, s.router, "fd00:1::2/16", "fd00:1::1/64")
	s.link("right6", s.router, s.server, "fd00:2::1/64", "fd00:2::2/64")
	s.router.WriteSysctl("net.ipv4.ip_forward", "1")
	s.router.WriteSysctl("net.ipv4.conf.all.proxy_arp", "1")
	s.router.WriteSysctl("net.ipv6.conf.all.forwarding", "1")
	s.run("ip", "-6", "neigh", "add", "proxy", serverAt6.String(), "dev", "left6")
	s.router.WriteSysctl("net.ipv6.conf.all.proxy_ndp", "1")
	s.nft("table inet t { chain c { type nat hook postrouting priority srcnat; meta l4proto { tcp, udp } oifname { right, right6 } " + rule + "; }; }")
	return s
}

func (s *scene) link(name string, a, b *netnstest.Netns, addrA, addrB string) {
	s.tb.Helper()
	if err := testnet.ConnectVeth(a.Namespace, b.Namespace, name, netip.MustParsePrefix(addrA), netip.MustParsePrefix(addrB)); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *scene) nft(rules string) {
	s.tb.Helper()
	s.run("nft", rules)
}

// run runs a program of the Debian packages nftables and iproute2 in the router.
func (s *scene) run(name string, args ...string) {
	s.tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		s.tb.Skipf("%v: run make deps", err)
	}
	cmd := exec.Command(path, args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	s.router.Start(cmd)
	if err := cmd.Wait(); err != nil {
		s.tb.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, said.String())
	}
}

// dial connects the client and takes the server's end; testnet.Dial would want to
// see the client's own address there.
func (s *scene) dial(l *testnet.Socket, to netip.AddrPort) testnet.Pair {
	s.tb.Helper()
	c, err := s.client.Connect(netip.AddrPort{}, to)
	if err != nil {
		s.tb.Fatal(err)
	}
	k, _, err := l.Accept()
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { _ = k.Close() }) // its namespace may be gone
	return testnet.Pair{Client: c, Server: k}
}

// tally reads the router's table.
func (s *scene) tally() (t tally) {
	s.tb.Helper()
	var err error
	s.router.Do(func() { t, _, err = read(request(), make([]byte, netlink.BufferSize)) })
	if err != nil {
		s.tb.Fatal(err)
	}
	return t
}

// pools are the router's, as a Linux of before 6.5 has them or not.
func (s *scene) pools(evicts, failing bool) []socket.SNATPool {
	s.tb.Helper()
	t := s.tally()
	return t.listed(evicts, failing)
}

func (s *scene) insertFailed() uint64 {
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

// fails starts a connection that finds no port, and waits until the kernel says so.
func (s *scene) fails(to netip.AddrPort) {
	s.tb.Helper()
	before := s.insertFailed()
	if _, err := s.client.StartConnect(netip.AddrPort{}, to); err != nil {
		s.tb.Fatal(err)
	}
	s.await("insert_failed rises", func() bool { return s.insertFailed() > before })
}

func (s *scene) await(what string, done func() bool) {
	s.tb.Helper()
	for end := time.Now().Add(2 * time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.tb.Fatalf("not so after 2 minutes: %s", what)
		}
	}
}
