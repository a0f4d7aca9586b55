package agent_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/readers/portwalk"
	"portreeve.io/portreeve/agent/readers/sockdiag"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

// testedReader is a reader under test.
type testedReader struct {
	agent.Reader
	// isExact is set for readers that report the exact headroom. The others report an
	// upper bound.
	isExact bool
}

// openReaders opens portwalk, once per test. Each scenario adds its own sockdiag.
func openReaders(t *testing.T) map[string]testedReader {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the test reads the kernel's tables")
	}
	walk, err := portwalk.Open(portwalk.Options{Failures: true})
	if err != nil {
		t.Fatalf("open portwalk: %v", err)
	}
	closeOnCleanup(t, walk)
	return map[string]testedReader{"portwalk": {walk, true}}
}

func closeOnCleanup(t *testing.T, c io.Closer) {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// scenario is a namespace with a range of 100 ports in which a test creates sockets.
type scenario struct {
	*netnstest.Netns
	t       *testing.T
	readers map[string]testedReader
}

func newScenario(t *testing.T, rs map[string]testedReader) *scenario {
	t.Helper()
	n := netnstest.New(t)
	n.WriteSysctl("net.ipv4.ip_local_port_range", "40000 40099")
	// The namespace has no process, so sockdiag needs a file to find it, as in /run/netns.
	root := t.TempDir()
	if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", n.FD()), filepath.Join(root, "scenario")); err != nil {
		t.Fatal(err)
	}
	diag, err := sockdiag.Open(sockdiag.Options{NetnsRoot: root})
	if err != nil {
		t.Fatalf("open sockdiag: %v", err)
	}
	closeOnCleanup(t, diag)
	all := map[string]testedReader{"sockdiag": {diag, false}}
	maps.Copy(all, rs)
	return &scenario{n, t, all}
}

func (s *scenario) takeSample(r testedReader) socket.Sample {
	s.t.Helper()
	got, err := r.Sample(s.t.Context(), socket.Request{})
	if err != nil {
		s.t.Fatalf("sample: %v", err)
	}
	if r.isExact && got.Reader.Exactness != socket.Exact {
		s.t.Errorf("the sample is %s: %s", got.Reader.Exactness, got.Reader.Message)
	}
	return got
}

func findNetwork(t *testing.T, s *socket.Sample, inode uint64) *socket.Network {
	t.Helper()
	for i := range s.Networks {
		if s.Networks[i].Inode == inode {
			return &s.Networks[i]
		}
	}
	t.Fatalf("no network net:[%d] in the sample", inode)
	return nil
}

// poolQuery selects a pool by its kind, and for Connect by its addresses.
type poolQuery struct {
	kind     socket.Kind
	protocol socket.Protocol
	src, dst netip.AddrPort
}

// reportedHeadroom returns the headroom of p in n. A destination without sockets uses the
// pool without a destination.
func reportedHeadroom(n *socket.Network, p poolQuery) int {
	left := -1
	for q := range n.Pools() {
		if q.Kind != p.kind || q.Protocol != p.protocol {
			continue
		}
		if q.Destination == nil {
			if left < 0 {
				left = q.Headroom()
			}
			continue
		}
		if q.Destination.Source == p.src.Addr().Unmap() && q.Destination.Address == p.dst.Addr().Unmap() && q.Destination.Port == p.dst.Port() {
			left = q.Headroom()
		}
	}
	return left
}

var (
	loopback  = addrPort("127.0.0.1:0")
	server    = addrPort("127.0.0.1:80")
	elsewhere = addrPort("127.0.0.2:80")
	wildcard  = addrPort("0.0.0.0:0")
)

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func connectTo(dst netip.AddrPort) poolQuery {
	src := loopback
	if dst.Addr().Is6() && !dst.Addr().Is4In6() {
		src = addrPort("[::1]:0")
	}
	return poolQuery{kind: socket.Connect, src: src, dst: dst}
}

func connectFrom(src, dst netip.AddrPort) poolQuery {
	return poolQuery{kind: socket.Connect, src: src, dst: dst}
}

// These pools use the unspecified address of both families, because ports that only IPv6
// sockets use are free for 0.0.0.0.
var (
	bindAny = poolQuery{kind: socket.Bind, src: addrPort("[::]:0")}
	bindUDP = poolQuery{kind: socket.Bind, protocol: socket.UDP, src: addrPort("[::]:0")}
)

// measureHeadroom returns the number of ports that the kernel gives until none is left.
func (s *scenario) measureHeadroom(p poolQuery) int {
	s.t.Helper()
	var n int
	var err error
	switch {
	case p.kind == socket.Connect:
		n, err = s.Namespace.Exhaust(p.src, p.dst)
	case p.protocol == socket.UDP:
		n, err = s.ExhaustBindUDP(p.src.Addr())
	default:
		n, err = s.Namespace.ExhaustBind(p.src.Addr())
	}
	if err != nil {
		s.t.Fatalf("use up %v: %v", p, err)
	}
	return n
}

// expectHeadroom compares every reader's headroom of p with the kernel's, and that with
// want.
func (s *scenario) expectHeadroom(p poolQuery, want int) {
	s.t.Helper()
	if got := s.checkHeadroom(p); got != want {
		s.t.Errorf("the kernel gives %d ports for %v, want %d", got, p, want)
	}
}

// checkHeadroom compares every reader's headroom of p with the kernel's, which it returns.
func (s *scenario) checkHeadroom(p poolQuery) int {
	s.t.Helper()
	reported := map[string]int{}
	for name, r := range s.readers {
		sample := s.takeSample(r)
		reported[name] = reportedHeadroom(findNetwork(s.t, &sample, s.Inode()), p)
	}
	truth := s.measureHeadroom(p)
	for name, got := range reported {
		if s.readers[name].isExact && got != truth || got < truth {
			s.t.Errorf("%s reports %d ports left for %v, the kernel gives %d", name, got, p, truth)
		}
	}
	return truth
}

// expectHeadroomIfAllReused compares every reader's headroom of p for tcp_tw_reuse 1 with
// the kernel's after setting it, and that with want.
func (s *scenario) expectHeadroomIfAllReused(p poolQuery, want int) {
	s.t.Helper()
	reported := map[string]int{}
	for name, r := range s.readers {
		sample := s.takeSample(r)
		n := findNetwork(s.t, &sample, s.Inode())
		reported[name] = reportedHeadroom(n, p)
		for _, d := range n.Destinations {
			if d.Address == p.dst.Addr() && d.Port == p.dst.Port() {
				reported[name] += int(d.ReusableIfAll - d.Reusable)
			}
		}
	}
	s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
	truth := s.measureHeadroom(p)
	if truth != want {
		s.t.Errorf("with tcp_tw_reuse 1 the kernel gives %d ports for %v, want %d", truth, p, want)
	}
	for name, got := range reported {
		if s.readers[name].isExact && got != truth || got < truth {
			s.t.Errorf("%s reports %d ports left for %v with tcp_tw_reuse 1, the kernel gives %d", name, got, p, truth)
		}
	}
}

// expectStates compares the exact readers' sockets by state with want.
func (s *scenario) expectStates(want tcpstate.Counts) {
	s.t.Helper()
	for name, r := range s.readers {
		sample := s.takeSample(r)
		if got := findNetwork(s.t, &sample, s.Inode()).States; r.isExact && got != want {
			s.t.Errorf("%s counts %v, want %v", name, got, want)
		}
	}
}

func (s *scenario) openConnections(count int, src, dst netip.AddrPort, opts ...testnet.Option) {
	s.t.Helper()
	for i := range count {
		if _, err := s.Connect(src, dst, append(opts, testnet.Repair)...); err != nil {
			s.t.Fatalf("connect %d from %v to %v: %v", i, src, dst, err)
		}
	}
}

// openBoundConnections connects sockets that are bound to port 0 first. It stops at the
// first failure, and returns the number of connections.
func (s *scenario) openBoundConnections(count int, src, dst netip.AddrPort) int {
	s.t.Helper()
	for i := range count {
		_, err := s.BindConnect(src, dst, testnet.Repair)
		if errors.Is(err, unix.EADDRINUSE) {
			return i
		}
		if err != nil {
			s.t.Fatalf("bind %v, connect to %v: %v", src, dst, err)
		}
	}
	return count
}

func (s *scenario) openBound(count int, addr netip.AddrPort, opts ...testnet.Option) {
	s.t.Helper()
	for i := range count {
		if _, err := s.Bind(addr, opts...); err != nil {
			s.t.Fatalf("bind %d to %v: %v", i, addr, err)
		}
	}
}

// makePairs opens real connections and then ends them. They are all opened first, because
// a new client may reuse the port of another's TIME_WAIT.
func (s *scenario) makePairs(count int, l *testnet.Socket, src, dst netip.AddrPort, end func(testnet.Pair) error) {
	s.t.Helper()
	var made []testnet.Pair
	for range count {
		made = append(made, s.Dial(l, src, dst))
	}
	s.endPairs(made, end)
}

func (s *scenario) endPairs(made []testnet.Pair, end func(testnet.Pair) error) {
	s.t.Helper()
	for _, p := range made {
		if err := end(p); err != nil {
			s.t.Fatalf("end a connection: %v", err)
		}
	}
}

// waitUntilReusable waits until existing TIME_WAIT sockets are older than the reuse delay,
// which on kernels before 6.14 is a second of the coarse clock.
func (s *scenario) waitUntilReusable() {
	s.t.Helper()
	time.Sleep(2100 * time.Millisecond) // the condition is time itself
}
