package portwalk

import (
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

var keepAlive = testnet.Option{Level: unix.SOL_SOCKET, Name: unix.SO_KEEPALIVE, Value: 1}

// to is the pool of connect() to dst, from wherever; of no destination where that is
// the zero value.
func to(dst netip.AddrPort) func(socket.Pool) bool {
	return func(p socket.Pool) bool {
		d := p.Destination
		if !dst.IsValid() || d == nil {
			return !dst.IsValid() && d == nil && p.Kind == socket.Connect
		}
		return d.Address == dst.Addr().Unmap() && d.Port == dst.Port()
	}
}

func udp(p socket.Pool) bool { return p.Protocol == socket.UDP }

// look takes a sample and looks at the pool of n that is asked for.
func look(t *testing.T, r *Reader, n *netnstest.Netns, is func(socket.Pool) bool) (*socket.Look, []socket.Unobserved) {
	t.Helper()
	s := sample(t, r)
	var tally walkTally
	if err := r.objs.Tally.Get(&tally); err != nil {
		t.Fatal(err)
	}
	before := len(s.Unobserved)
	for p := range find(&s, n.Inode()).Pools() {
		if !is(p) {
			continue
		}
		if err := r.lookAt(t.Context(), &s, p, hertz(tally.NowNs, tally.NowJiffies)); err != nil {
			t.Fatal(err)
		}
		if !s.Look.Of(p) {
			t.Fatalf("unseen %v: %+v is no look at %+v", s.Unobserved, s.Look, p)
		}
		return s.Look, s.Unobserved[before:]
	}
	t.Fatal("no such pool")
	return nil, nil
}

func TestSilentConnectionsAreCounted(t *testing.T) {
	r := open(t, Options{})
	n := hundred(t)
	l := n.Listen("127.0.0.1:80")
	var busy []testnet.Pair
	for range 10 {
		busy = append(busy, n.Dial(l, home, server))
	}
	for range 20 {
		n.Dial(l, home, server, keepAlive)
	}
	connect(t, n, 30, home, server)
	if got, _ := look(t, r, n, to(server)); got.Established != 60 || got.Silent != 0 || got.Longest > 30*time.Second {
		t.Errorf("just made: %+v", got)
	}
	r.limits.silentAfter = 500 * time.Millisecond
	await(t, func() bool {
		for i, p := range busy { // half of them only listen
			if i%2 == 0 {
				p = p.Swap()
			}
			if err := p.Client.Send([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		got, _ := look(t, r, n, to(server))
		return got.Established == 60 && got.Silent == 50 && got.NoKeepAlive == 30 && got.Unanswered == 0 &&
			got.Longest > r.limits.silentAfter && got.Longest < time.Minute
	})
}

func TestConnectionsWhosePeerIsGoneAreUnanswered(t *testing.T) {
	r := open(t, Options{})
	n, peer := hundred(t), netnstest.New(t)
	n.ConnectVeth(peer, "10.9.0.1/24", "10.9.0.2/24")
	l := peer.Listen("10.9.0.2:80")
	dst := ap("10.9.0.2:80")
	for i := range 9 {
		p := n.Dial(l, netip.AddrPort{}, dst)
		if i < 4 {
			if err := p.Server.DropPackets(); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Client.Send([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	var got *socket.Look
	await(t, func() bool {
		got, _ = look(t, r, n, to(dst))
		return got.Unanswered == 4
	})
	if got.Established != 9 || got.Silent != 0 {
		t.Errorf("got %+v", got)
	}
}

// holderOf is what /proc says of a process.
func holderOf(t *testing.T, pid, sockets int) socket.Holder {
	t.Helper()
	dir := "/proc/" + strconv.Itoa(pid)
	files, err := os.ReadDir(dir + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	comm, err := os.ReadFile(dir + "/comm")
	if err != nil {
		t.Fatal(err)
	}
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		t.Fatal(err)
	}
	return socket.Holder{Process: string(comm[:len(comm)-1]), PID: pid, Sockets: sockets,
		OpenFiles: len(files), MaxFiles: int(limit.Cur)}
}

// apart leaves out what tests can't know: the container that they run in, and how
// many files this very process has open at one moment.
var apart = cmp.Options{cmpopts.IgnoreFields(socket.Holder{}, "Container"),
	cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".OpenFiles" }, cmp.Comparer(func(a, b int) bool { return max(a-b, b-a) <= 2 }))}

func TestTheProcessesThatHoldAPoolsSocketsAreNamed(t *testing.T) {
	for name, run := range map[string]uint32{"at once": budget, "in runs of few files": 7} {
		t.Run(name, func(t *testing.T) {
			r := open(t, Options{})
			r.limits.run = run
			n := hundred(t)
			n.WriteSysctl("net.ipv4.ip_local_port_range", "40000 40999")
			dst := ap("127.101.0.0:443")
			// This process lives elsewhere, and holds the most.
			connect(t, n, 300, home, dst)
			connect(t, n, 50, home, server)
			var loads []int
			for _, count := range []int{30, 10, 20, 200, 25} {
				loads = append(loads, n.StartLoad(testnet.Load{Established: count, Destinations: 1}).PID())
			}
			got, unseen := look(t, r, n, to(dst))
			want := &socket.Look{Inode: got.Inode, Cookie: got.Cookie, Source: home.Addr(), Destination: dst.Addr(), Port: dst.Port(),
				Held: 585, Established: 585, Holders: []socket.Holder{holderOf(t, os.Getpid(), 300),
					holderOf(t, loads[3], 200), holderOf(t, loads[0], 30), holderOf(t, loads[4], 25)}}
			if diff := cmp.Diff(want, got, apart, cmpopts.IgnoreFields(socket.Look{}, "Longest"), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if len(unseen) > 0 {
				t.Errorf("unseen %v", unseen)
			}
		})
	}
}

// Only the file tables of processes tell who holds a socket: TIME_WAIT has none, and
// a shared one is in several.
func TestASharedSocketIsHeldOnceAndFoundInEachProcess(t *testing.T) {
	r := open(t, Options{})
	n := hundred(t)
	l := n.Listen("127.0.0.1:80")
	for range 20 {
		if err := n.Dial(l, home, server).EnterTimeWait(); err != nil {
			t.Fatal(err)
		}
	}
	var files []*os.File
	for range 30 {
		k, err := n.Connect(home, server, testnet.Repair)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.FcntlInt(uintptr(k.FD()), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "socket")
		t.Cleanup(func() { f.Close() })
		files = append(files, f)
	}
	var want []socket.Holder
	for i := range 2 {
		cmd := exec.Command("sleep", "60")
		cmd.ExtraFiles = files[10*i:]
		n.Start(cmd)
		want = append(want, socket.Holder{Process: "sleep", PID: cmd.Process.Pid, Sockets: 30 - 10*i})
	}
	await(t, func() bool { // until both have become sleep
		got, _ := look(t, r, n, to(server))
		return got.Held == 30 && cmp.Equal(want, got.Holders, cmpopts.IgnoreFields(socket.Holder{}, "Container", "OpenFiles", "MaxFiles"))
	})
}

func TestTheHoldersOfEachKindOfPool(t *testing.T) {
	six, mapped := ap("[::1]:80"), ap("[::ffff:127.0.0.1]:80")
	for name, c := range map[string]struct {
		fill        func(*netnstest.Netns)
		pool        func(socket.Pool) bool
		held        int
		established int
	}{
		"IPv6": {func(n *netnstest.Netns) {
			connect(t, n, 7, ap("[::1]:0"), six)
			connect(t, n, 5, home, server)
		}, to(six), 7, 7},
		"IPv4-mapped IPv6 shares the IPv4 pool": {func(n *netnstest.Netns) {
			connect(t, n, 7, ap("[::ffff:127.0.0.1]:0"), mapped)
			connect(t, n, 5, home, server)
		}, to(server), 12, 12},
		"bind-before-connect, and what only binds or listens, but no clients of a listener": {func(n *netnstest.Netns) {
			l := n.Listen("127.0.0.1:40050")
			n.Listen("127.0.0.1:80")
			connect(t, n, 9, home, server)
			for range 6 {
				if _, err := n.BindConnect(ap("0.0.0.0:0"), server, testnet.Repair); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := n.Bind(ap("127.0.0.1:0")); err != nil {
				t.Fatal(err)
			}
			for port := range uint16(4) { // from outside of the range
				n.Dial(l, netip.AddrPortFrom(home.Addr(), 5000+port), ap("127.0.0.1:40050"))
			}
		}, to(netip.AddrPort{}), 8, 6},
		"UDP": {func(n *netnstest.Netns) {
			for range 7 {
				if _, err := n.BindUDP(ap("0.0.0.0:0")); err != nil {
					t.Fatal(err)
				}
			}
			connect(t, n, 5, home, server)
		}, udp, 7, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, Options{})
			n := hundred(t)
			c.fill(n)
			got, unseen := look(t, r, n, c.pool)
			if got.Held != c.held || got.Established != c.established || len(got.Holders) != 1 || got.Holders[0].Sockets != c.held ||
				got.Holders[0].PID != os.Getpid() {
				t.Errorf("got %+v, want %d held, %d ESTABLISHED", got, c.held, c.established)
			}
			if len(unseen) > 0 {
				t.Errorf("unseen %v", unseen)
			}
		})
	}
}

func TestALookThatIsCutShortSaysSo(t *testing.T) {
	r := open(t, Options{})
	r.limits.files, r.limits.run = 20, 10
	n := hundred(t)
	connect(t, n, 60, home, server)
	if _, got := look(t, r, n, to(server)); len(got) != 1 || got[0].Item != "holders of ports" {
		t.Errorf("unseen %v", got)
	}
	// The next sample is as any other.
	s := sample(t, r)
	if got := find(&s, n.Inode()); got.States[tcpstate.Established] != 60 || len(got.Destinations) != 1 {
		t.Errorf("the sample after a look: %+v", got)
	}
}

func TestALookIsTakenAtTheLineOnly(t *testing.T) {
	r := open(t, Options{})
	n := hundred(t)
	connect(t, n, 100, home, server)
	for percent, want := range map[int]bool{0: false, 50: true, 100: true, 101: false} {
		s, err := r.Sample(t.Context(), socket.Request{LookPercent: percent})
		if err != nil {
			t.Fatal(err)
		}
		p, _ := s.Tightest() // another test may have a tighter one
		if s.Look.Of(p) != want || (s.Look != nil) != want {
			t.Errorf("asked for a look at %d %%, tightest %d %%: %+v", percent, p.UsedPercent(), s.Look)
		}
	}
}
