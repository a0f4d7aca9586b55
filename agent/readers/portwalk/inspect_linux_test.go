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

// connectsTo returns a predicate for the pool of connect() to dst from any source. If dst
// is the zero value, it is true for the Connect pool without a destination.
func connectsTo(dst netip.AddrPort) func(socket.Pool) bool {
	return func(p socket.Pool) bool {
		d := p.Destination
		if !dst.IsValid() || d == nil {
			return !dst.IsValid() && d == nil && p.Kind == socket.Connect
		}
		return d.Address == dst.Addr().Unmap() && d.Port == dst.Port()
	}
}

func isUDP(p socket.Pool) bool { return p.Protocol == socket.UDP }

// inspect takes a sample and inspects n's first pool for which is returns true.
func inspect(t *testing.T, r *Reader, n *netnstest.Netns, is func(socket.Pool) bool) (*socket.PoolDetail, []socket.Unobserved) {
	t.Helper()
	s := takeSample(t, r)
	var counts walkTally
	if err := r.objects.Tally.Get(&counts); err != nil {
		t.Fatal(err)
	}
	before := len(s.Unobserved)
	for p := range findNetwork(&s, n.Inode()).Pools() {
		if !is(p) {
			continue
		}
		if err := r.inspectPool(t.Context(), &s, p, detectHZ(counts.NowNs, counts.NowJiffies)); err != nil {
			t.Fatal(err)
		}
		if !s.PoolDetail.Describes(p) {
			t.Fatalf("unobserved %v: %+v is not the detail of %+v", s.Unobserved, s.PoolDetail, p)
		}
		return s.PoolDetail, s.Unobserved[before:]
	}
	t.Fatal("no such pool")
	return nil, nil
}

func TestSilentConnectionsAreCounted(t *testing.T) {
	r := openReader(t, Options{})
	n := newNetnsWith100Ports(t)
	l := n.Listen("127.0.0.1:80")
	var busy []testnet.Pair
	for range 10 {
		busy = append(busy, n.Dial(l, loopback, server))
	}
	for range 20 {
		n.Dial(l, loopback, server, keepAlive)
	}
	openConnections(t, n, 30, loopback, server)
	if got, _ := inspect(t, r, n, connectsTo(server)); got.Established != 60 || got.Silent != 0 || got.LongestSilence > 30*time.Second {
		t.Errorf("just made: %+v", got)
	}
	r.inspectLimits.silentAfter = 500 * time.Millisecond
	waitUntil(t, func() bool {
		for i, p := range busy { // half of them only receive
			if i%2 == 0 {
				p = p.Swap()
			}
			if err := p.Client.Send([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		got, _ := inspect(t, r, n, connectsTo(server))
		return got.Established == 60 && got.Silent == 50 && got.NoKeepAlive == 30 && got.Unanswered == 0 &&
			got.LongestSilence > r.inspectLimits.silentAfter && got.LongestSilence < time.Minute
	})
}

func TestConnectionsWhosePeerIsGoneAreUnanswered(t *testing.T) {
	r := openReader(t, Options{})
	n, peer := newNetnsWith100Ports(t), netnstest.New(t)
	n.ConnectVeth(peer, "10.9.0.1/24", "10.9.0.2/24")
	l := peer.Listen("10.9.0.2:80")
	dst := addrPort("10.9.0.2:80")
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
	var got *socket.PoolDetail
	waitUntil(t, func() bool {
		got, _ = inspect(t, r, n, connectsTo(dst))
		return got.Unanswered == 4
	})
	if got.Established != 9 || got.Silent != 0 {
		t.Errorf("got %+v", got)
	}
}

// readHolder returns a process as /proc shows it.
func readHolder(t *testing.T, pid, sockets int) socket.Holder {
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

// ignoreUnpredictable ignores what a test can't know: the container that it runs in, and
// the exact number of files that the test process has open.
var ignoreUnpredictable = cmp.Options{cmpopts.IgnoreFields(socket.Holder{}, "Container"),
	cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".OpenFiles" }, cmp.Comparer(func(a, b int) bool { return max(a-b, b-a) <= 2 }))}

func TestProcessesUsingAPoolAreNamed(t *testing.T) {
	for name, run := range map[string]uint32{"at once": nodesPerRun, "in runs of few files": 7} {
		t.Run(name, func(t *testing.T) {
			r := openReader(t, Options{})
			r.inspectLimits.filesPerRun = run
			n := newNetnsWith100Ports(t)
			n.WriteSysctl("net.ipv4.ip_local_port_range", "40000 40999")
			dst := addrPort("127.101.0.0:443")
			// The test process runs in another namespace, and has most of the sockets.
			openConnections(t, n, 300, loopback, dst)
			openConnections(t, n, 50, loopback, server)
			var loads []int
			for _, count := range []int{30, 10, 20, 200, 25} {
				loads = append(loads, n.StartLoad(testnet.Load{Established: count, Destinations: 1}).PID())
			}
			got, unobserved := inspect(t, r, n, connectsTo(dst))
			want := &socket.PoolDetail{Inode: got.Inode, Cookie: got.Cookie, Source: loopback.Addr(), Destination: dst.Addr(), Port: dst.Port(),
				ProcessSockets: 585, Established: 585, Holders: []socket.Holder{readHolder(t, os.Getpid(), 300),
					readHolder(t, loads[3], 200), readHolder(t, loads[0], 30), readHolder(t, loads[4], 25)}}
			if diff := cmp.Diff(want, got, ignoreUnpredictable, cmpopts.IgnoreFields(socket.PoolDetail{}, "LongestSilence"), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if len(unobserved) > 0 {
				t.Errorf("unobserved %v", unobserved)
			}
		})
	}
}

// Only the file tables of processes show the user of a socket. TIME_WAIT is in none of
// them, and a shared socket is in several.
func TestASharedSocketIsCountedOnceAndFoundInEachProcess(t *testing.T) {
	r := openReader(t, Options{})
	n := newNetnsWith100Ports(t)
	l := n.Listen("127.0.0.1:80")
	for range 20 {
		if err := n.Dial(l, loopback, server).EnterTimeWait(); err != nil {
			t.Fatal(err)
		}
	}
	var files []*os.File
	for range 30 {
		k, err := n.Connect(loopback, server, testnet.Repair)
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
	waitUntil(t, func() bool { // until both have become sleep
		got, _ := inspect(t, r, n, connectsTo(server))
		return got.ProcessSockets == 30 && cmp.Equal(want, got.Holders, cmpopts.IgnoreFields(socket.Holder{}, "Container", "OpenFiles", "MaxFiles"))
	})
}

func TestProcessesAreFoundForEachKindOfPool(t *testing.T) {
	six, mapped := addrPort("[::1]:80"), addrPort("[::ffff:127.0.0.1]:80")
	for name, c := range map[string]struct {
		fill        func(*netnstest.Netns)
		pool        func(socket.Pool) bool
		inUse       int
		established int
	}{
		"IPv6": {func(n *netnstest.Netns) {
			openConnections(t, n, 7, addrPort("[::1]:0"), six)
			openConnections(t, n, 5, loopback, server)
		}, connectsTo(six), 7, 7},
		"IPv4-mapped IPv6 shares the IPv4 pool": {func(n *netnstest.Netns) {
			openConnections(t, n, 7, addrPort("[::ffff:127.0.0.1]:0"), mapped)
			openConnections(t, n, 5, loopback, server)
		}, connectsTo(server), 12, 12},
		"bind-before-connect, bound-only and listening sockets, but not a listener's clients": {func(n *netnstest.Netns) {
			l := n.Listen("127.0.0.1:40050")
			n.Listen("127.0.0.1:80")
			openConnections(t, n, 9, loopback, server)
			for range 6 {
				if _, err := n.BindConnect(addrPort("0.0.0.0:0"), server, testnet.Repair); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := n.Bind(addrPort("127.0.0.1:0")); err != nil {
				t.Fatal(err)
			}
			for port := range uint16(4) { // from outside of the range
				n.Dial(l, netip.AddrPortFrom(loopback.Addr(), 5000+port), addrPort("127.0.0.1:40050"))
			}
		}, connectsTo(netip.AddrPort{}), 8, 6},
		"UDP": {func(n *netnstest.Netns) {
			for range 7 {
				if _, err := n.BindUDP(addrPort("0.0.0.0:0")); err != nil {
					t.Fatal(err)
				}
			}
			openConnections(t, n, 5, loopback, server)
		}, isUDP, 7, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := openReader(t, Options{})
			n := newNetnsWith100Ports(t)
			c.fill(n)
			got, unobserved := inspect(t, r, n, c.pool)
			if got.ProcessSockets != c.inUse || got.Established != c.established || len(got.Holders) != 1 || got.Holders[0].Sockets != c.inUse ||
				got.Holders[0].PID != os.Getpid() {
				t.Errorf("got %+v, want %d in use, %d ESTABLISHED", got, c.inUse, c.established)
			}
			if len(unobserved) > 0 {
				t.Errorf("unobserved %v", unobserved)
			}
		})
	}
}

func TestATruncatedInspectionIsReported(t *testing.T) {
	r := openReader(t, Options{})
	r.inspectLimits.maxFiles, r.inspectLimits.filesPerRun = 20, 10
	n := newNetnsWith100Ports(t)
	openConnections(t, n, 60, loopback, server)
	if _, got := inspect(t, r, n, connectsTo(server)); len(got) != 1 || got[0].Item != "processes using ports" {
		t.Errorf("unobserved %v", got)
	}
	// The next sample is unaffected.
	s := takeSample(t, r)
	if got := findNetwork(&s, n.Inode()); got.States[tcpstate.Established] != 60 || len(got.Destinations) != 1 {
		t.Errorf("the sample after an inspection: %+v", got)
	}
}

func TestAPoolIsInspectedFromTheRequestedThresholdOn(t *testing.T) {
	r := openReader(t, Options{})
	n := newNetnsWith100Ports(t)
	openConnections(t, n, 100, loopback, server)
	for percent, want := range map[int]bool{0: false, 50: true, 100: true, 101: false} {
		s, err := r.Sample(t.Context(), socket.Request{InspectPercent: percent})
		if err != nil {
			t.Fatal(err)
		}
		p, _ := s.TightestPool() // another test may have a fuller one
		if s.PoolDetail.Describes(p) != want || (s.PoolDetail != nil) != want {
			t.Errorf("requested from %d %% on, fullest %d %%: %+v", percent, p.UsedPercent(), s.PoolDetail)
		}
	}
}
