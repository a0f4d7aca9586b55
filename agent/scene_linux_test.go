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

// reader is one of the readers under test.
type reader struct {
	agent.Reader
	// exact readers report the truth, the others never less headroom than there is.
	exact bool
}

// readers opens portwalk, once for a test. Scenes add a sockdiag of their own.
func readers(t *testing.T) map[string]reader {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the test reads the kernel's tables")
	}
	walk, err := portwalk.Open(portwalk.Options{Failures: true})
	if err != nil {
		t.Fatalf("open portwalk: %v", err)
	}
	closeAfter(t, walk)
	return map[string]reader{"portwalk": {walk, true}}
}

func closeAfter(t *testing.T, c io.Closer) {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// scene is a namespace with a range of 100 ports, which a test fills.
type scene struct {
	*netnstest.Netns
	t       *testing.T
	readers map[string]reader
}

func newScene(t *testing.T, rs map[string]reader) *scene {
	t.Helper()
	n := netnstest.New(t)
	n.WriteSysctl("net.ipv4.ip_local_port_range", "40000 40099")
	// No process lives in the namespace: it is found as one of /run/netns is.
	root := t.TempDir()
	if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", n.FD()), filepath.Join(root, "scene")); err != nil {
		t.Fatal(err)
	}
	diag, err := sockdiag.Open(sockdiag.Options{NetnsRoot: root})
	if err != nil {
		t.Fatalf("open sockdiag: %v", err)
	}
	closeAfter(t, diag)
	all := map[string]reader{"sockdiag": {diag, false}}
	maps.Copy(all, rs)
	return &scene{n, t, all}
}

func (s *scene) sample(r reader) socket.Sample {
	s.t.Helper()
	got, err := r.Sample(s.t.Context(), socket.Request{})
	if err != nil {
		s.t.Fatalf("sample: %v", err)
	}
	if r.exact && got.Reader.Exactness != socket.Exact {
		s.t.Errorf("the sample is %s: %s", got.Reader.Exactness, got.Reader.Message)
	}
	return got
}

func network(t *testing.T, s *socket.Sample, inode uint64) *socket.Network {
	t.Helper()
	for i := range s.Networks {
		if s.Networks[i].Inode == inode {
			return &s.Networks[i]
		}
	}
	t.Fatalf("no network net:[%d] in the sample", inode)
	return nil
}

// pool is what a question is about: a kind of pool, and for Connect where to.
type pool struct {
	kind     socket.Kind
	protocol socket.Protocol
	src, dst netip.AddrPort
}

// headroom is what n's pools say of p. A destination without sockets has the
// pool that belongs to no destination.
func headroom(n *socket.Network, p pool) int {
	room := -1
	for q := range n.Pools() {
		if q.Kind != p.kind || q.Protocol != p.protocol {
			continue
		}
		if q.Destination == nil {
			if room < 0 {
				room = q.Headroom()
			}
			continue
		}
		if q.Destination.Source == p.src.Addr().Unmap() && q.Destination.Address == p.dst.Addr().Unmap() && q.Destination.Port == p.dst.Port() {
			room = q.Headroom()
		}
	}
	return room
}

var (
	home      = ap("127.0.0.1:0")
	server    = ap("127.0.0.1:80")
	elsewhere = ap("127.0.0.2:80")
	wildcard  = ap("0.0.0.0:0")
)

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func connectTo(dst netip.AddrPort) pool {
	src := home
	if dst.Addr().Is6() && !dst.Addr().Is4In6() {
		src = ap("[::1]:0")
	}
	return pool{kind: socket.Connect, src: src, dst: dst}
}

func connectFrom(src, dst netip.AddrPort) pool {
	return pool{kind: socket.Connect, src: src, dst: dst}
}

// "Any address" is that of both families: ports that only IPv6 sockets hold are
// still free for 0.0.0.0.
var (
	bindAny = pool{kind: socket.Bind, src: ap("[::]:0")}
	bindUDP = pool{kind: socket.Bind, protocol: socket.UDP, src: ap("[::]:0")}
)

// truth is what the kernel then gives.
func (s *scene) truth(p pool) int {
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
		s.t.Fatalf("ask the kernel about %v: %v", p, err)
	}
	return n
}

// expect asks every reader, then the kernel, for the ports that are left.
func (s *scene) expect(p pool, want int) {
	s.t.Helper()
	if got := s.agree(p); got != want {
		s.t.Errorf("the kernel gives %d ports for %v, want %d", got, p, want)
	}
}

// agree asks every reader for the ports that are left, and holds the answers
// against what the kernel then gives.
func (s *scene) agree(p pool) int {
	s.t.Helper()
	said := map[string]int{}
	for name, r := range s.readers {
		sample := s.sample(r)
		said[name] = headroom(network(s.t, &sample, s.Inode()), p)
	}
	truth := s.truth(p)
	for name, got := range said {
		if s.readers[name].exact && got != truth || got < truth {
			s.t.Errorf("%s reports %d ports left for %v, the kernel gives %d", name, got, p, truth)
		}
	}
	return truth
}

// ifAll asks every reader for the ports that would be left if tcp_tw_reuse were 1,
// and the kernel after setting it.
func (s *scene) ifAll(p pool, want int) {
	s.t.Helper()
	said := map[string]int{}
	for name, r := range s.readers {
		sample := s.sample(r)
		n := network(s.t, &sample, s.Inode())
		said[name] = headroom(n, p)
		for _, d := range n.Destinations {
			if d.Address == p.dst.Addr() && d.Port == p.dst.Port() {
				said[name] += int(d.ReusableIfAll - d.Reusable)
			}
		}
	}
	s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
	truth := s.truth(p)
	if truth != want {
		s.t.Errorf("with tcp_tw_reuse 1 the kernel gives %d ports for %v, want %d", truth, p, want)
	}
	for name, got := range said {
		if s.readers[name].exact && got != truth || got < truth {
			s.t.Errorf("%s says that with tcp_tw_reuse 1 %d ports were left for %v, the kernel gives %d", name, got, p, truth)
		}
	}
}

// states asks the exact readers for the sockets of the namespace.
func (s *scene) states(want tcpstate.Counts) {
	s.t.Helper()
	for name, r := range s.readers {
		sample := s.sample(r)
		if got := network(s.t, &sample, s.Inode()).States; r.exact && got != want {
			s.t.Errorf("%s counts %v, want %v", name, got, want)
		}
	}
}

func (s *scene) connect(count int, src, dst netip.AddrPort, opts ...testnet.Option) {
	s.t.Helper()
	for i := range count {
		if _, err := s.Connect(src, dst, append(opts, testnet.Repair)...); err != nil {
			s.t.Fatalf("connect %d from %v to %v: %v", i, src, dst, err)
		}
	}
}

// bindConnect binds to port 0 first. It stops at the first failure and says how
// many connections were made.
func (s *scene) bindConnect(count int, src, dst netip.AddrPort) int {
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

func (s *scene) bind(count int, addr netip.AddrPort, opts ...testnet.Option) {
	s.t.Helper()
	for i := range count {
		if _, err := s.Bind(addr, opts...); err != nil {
			s.t.Fatalf("bind %d to %v: %v", i, addr, err)
		}
	}
}

// pairs makes real connections, all before the first ends: a new client may take
// over the TIME_WAIT of another.
func (s *scene) pairs(count int, l *testnet.Socket, src, dst netip.AddrPort, end func(testnet.Pair) error) {
	s.t.Helper()
	var made []testnet.Pair
	for range count {
		made = append(made, s.Dial(l, src, dst))
	}
	s.end(made, end)
}

func (s *scene) end(made []testnet.Pair, end func(testnet.Pair) error) {
	s.t.Helper()
	for _, p := range made {
		if err := end(p); err != nil {
			s.t.Fatalf("end a connection: %v", err)
		}
	}
}

// age waits until the TIME_WAIT sockets that stand are past the reuse delay,
// which for kernels before 6.14 is a second of the coarse clock.
func (s *scene) age() {
	s.t.Helper()
	time.Sleep(2100 * time.Millisecond) // the condition is time itself
}
