package sockdiag_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/readers/sockdiag"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

var _ agent.Reader = (*sockdiag.Reader)(nil)

var none netip.AddrPort

// space is a namespace with the range 40000-40099, and a reader that finds it.
type space struct {
	*netnstest.Netns
	t      *testing.T
	reader *sockdiag.Reader
	folder string
}

func newSpace(t *testing.T) *space {
	n := netnstest.New(t)
	n.WriteSysctl("net.ipv4.ip_local_port_range", "40000 40099")
	folder := t.TempDir()
	if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", n.FD()), filepath.Join(folder, "test")); err != nil {
		t.Fatal(err)
	}
	r, err := sockdiag.Open(sockdiag.Options{NetnsRoot: folder})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return &space{n, t, r, folder}
}

func (s *space) sample(gate int) socket.Sample {
	s.t.Helper()
	sample, err := s.reader.Sample(context.Background(), socket.Request{GatePercent: gate})
	if err != nil {
		s.t.Fatal(err)
	}
	return sample
}

func (s *space) read(gate int) socket.Network {
	s.t.Helper()
	sample := s.sample(gate)
	for _, n := range sample.Networks {
		if n.Inode == s.Inode() {
			return n
		}
	}
	s.t.Fatalf("net:[%d] is not among %d networks; unseen %v", s.Inode(), len(sample.Networks), sample.Unobserved)
	return socket.Network{}
}

// connectHeadroom is what follows from n for connect() from src to dst.
func connectHeadroom(n socket.Network, src netip.Addr, dst netip.AddrPort) int {
	left := n.Settings.Range.Len() - n.Settings.Reserved - n.Skipped
	for _, d := range n.Destinations {
		if d.Source == src.Unmap() && d.Address == dst.Addr().Unmap() && d.Port == dst.Port() {
			left -= d.States.Total() - int(d.Reusable)
		}
	}
	return left
}

func bindHeadroom(n socket.Network) int {
	return n.Settings.Range.Len() - n.Settings.Reserved - n.Held
}

// TestGroundTruth compares the headroom with what connect() then gives, where a
// dump shows all that decides it.
func TestGroundTruth(t *testing.T) {
	to := netip.MustParseAddrPort
	dst, other := to("127.0.0.1:80"), to("127.0.0.2:80")
	dial := func(s *space, l *testnet.Socket, count int, dst netip.AddrPort, end func(testnet.Pair) error) {
		for range count {
			if err := end(s.Dial(l, none, dst)); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	open := func(testnet.Pair) error { return nil }
	// Past tcp_tw_reuse_delay, and the whole second of older kernels: what is
	// waited for is time itself.
	aged := func() { time.Sleep(2100 * time.Millisecond) }
	for name, test := range map[string]struct {
		build   func(*space, *testnet.Socket)
		connect int // to dst, from 127.0.0.1
	}{
		"an empty namespace":                  {func(*space, *testnet.Socket) {}, 100},
		"30 connections":                      {func(s *space, l *testnet.Socket) { dial(s, l, 30, dst, open) }, 70},
		"a full pool":                         {func(s *space, l *testnet.Socket) { dial(s, l, 100, dst, open) }, 0},
		"another destination is another pool": {func(s *space, l *testnet.Socket) { dial(s, l, 30, other, open) }, 100},
		"IPv4-mapped connections": {func(s *space, l *testnet.Socket) {
			for range 20 {
				if _, err := s.Connect(none, to("[::ffff:127.0.0.1]:80"), testnet.Repair); err != nil {
					s.t.Fatal(err)
				}
			}
		}, 80},
		"10 listeners in the range": {func(s *space, _ *testnet.Socket) {
			for port := range 10 {
				s.Listen(fmt.Sprintf("127.0.0.1:%d", 40010+port))
			}
		}, 90},
		"51 reserved ports": {func(s *space, _ *testnet.Socket) {
			s.WriteSysctl("net.ipv4.ip_local_reserved_ports", "40000-40050")
		}, 49},
		"a reserved port that is taken counts once": {func(s *space, l *testnet.Socket) {
			dial(s, l, 30, dst, open)
			s.WriteSysctl("net.ipv4.ip_local_reserved_ports", "40000-40099")
		}, 0},
		"clients of a listener in the range": {func(s *space, _ *testnet.Socket) {
			l := s.Listen("127.0.0.1:40001")
			dial(s, l, 5, to("127.0.0.1:40001"), open)
		}, 99},
		"TIME_WAIT without reuse": {func(s *space, l *testnet.Socket) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "0")
			dial(s, l, 40, dst, testnet.Pair.EnterTimeWait)
			aged()
		}, 60},
		"TIME_WAIT with reuse, old enough": {func(s *space, l *testnet.Socket) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
			dial(s, l, 40, dst, testnet.Pair.EnterTimeWait)
			aged()
		}, 100},
		"TIME_WAIT of loopback with reuse of loopback only": {func(s *space, l *testnet.Socket) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "2")
			dial(s, l, 40, dst, testnet.Pair.EnterTimeWait)
			aged()
		}, 100},
		"TIME_WAIT without timestamps": {func(s *space, l *testnet.Socket) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
			s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
			dial(s, l, 40, dst, testnet.Pair.EnterTimeWait)
			aged()
		}, 60},
		"of CLOSE_WAIT, FIN_WAIT2 and TIME_WAIT only the last is reusable": {func(s *space, l *testnet.Socket) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
			dial(s, l, 20, dst, testnet.Pair.EnterCloseWait)
			dial(s, l, 20, dst, testnet.Pair.EnterFinWait2)
			dial(s, l, 20, dst, testnet.Pair.EnterTimeWait)
			aged()
		}, 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t)
			test.build(s, s.Listen("0.0.0.0:80"))
			n := s.read(0)
			if got := connectHeadroom(n, netip.MustParseAddr("127.0.0.1"), dst); got != test.connect {
				t.Errorf("headroom %d, want %d: %+v", got, test.connect, n)
			}
			if truth := s.Exhaust(none, dst); truth != test.connect {
				t.Errorf("connect() gives %d, not the %d that the test says", truth, test.connect)
			}
		})
	}
}

func TestTimeWaitOverVethIsNotReusableByTheLoopbackSetting(t *testing.T) {
	s, far := newSpace(t), netnstest.New(t)
	s.ConnectVeth(far, "10.99.0.1/24", "10.99.0.2/24")
	s.WriteSysctl("net.ipv4.tcp_tw_reuse", "2")
	l, dst := far.Listen("10.99.0.2:80"), netip.MustParseAddrPort("10.99.0.2:80")
	for range 40 {
		if err := s.Dial(l, none, dst).EnterTimeWait(); err != nil {
			t.Fatal(err)
		}
	}
	if got := connectHeadroom(s.read(0), netip.MustParseAddr("10.99.0.1"), dst); got != 60 {
		t.Errorf("headroom %d, want 60", got)
	}
}

func TestSocketsThatAreOnlyBoundAreSeenSinceLinux68(t *testing.T) {
	var name unix.Utsname
	var major, minor int
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	if major < 6 || major == 6 && minor < 8 {
		t.Skipf("Linux %d.%d doesn't dump them", major, minor)
	}
	s := newSpace(t)
	for range 10 {
		if _, err := s.Bind(netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
			t.Fatal(err)
		}
	}
	n := s.read(0)
	if n.Held != 10 || n.Skipped != 10 || n.SkippedListening != 0 || n.States != (tcpstate.Counts{tcpstate.Bound: 10}) {
		t.Errorf("%+v", n)
	}
}

func TestUDPPortsAreCountedOnce(t *testing.T) {
	s := newSpace(t)
	for _, at := range []string{"127.0.0.1:40000", "127.0.0.2:40000", "[::1]:40000", "127.0.0.1:40001", "127.0.0.1:53"} {
		if _, err := s.BindUDP(netip.MustParseAddrPort(at)); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.read(0); n.UDPHeld != 2 || n.UDPSockets != 5 {
		t.Errorf("%d ports held by %d sockets, want 2 and 5", n.UDPHeld, n.UDPSockets)
	}
	if n := s.read(10); n.UDPHeld != 0 || n.UDPSockets != 5 { // 5 of 100 is below the gate
		t.Errorf("below the gate %d ports held by %d sockets, want 0 and 5", n.UDPHeld, n.UDPSockets)
	}
}

func TestADumpOfManyBuffersIsComplete(t *testing.T) {
	s := newSpace(t)
	s.WriteSysctl("net.ipv4.ip_local_port_range", "20000 29999")
	dst := netip.MustParseAddrPort("127.0.0.1:80")
	for range 5000 {
		if _, err := s.Connect(none, dst, testnet.Repair); err != nil {
			t.Fatal(err)
		}
	}
	n := s.read(0)
	if len(n.Destinations) != 1 || n.Destinations[0].States != (tcpstate.Counts{tcpstate.Established: 5000}) || n.Held != 5000 {
		t.Errorf("%d held, %+v", n.Held, n.Destinations)
	}
}

func TestTheGateLeavesOutWhatIsFarFromItsLimit(t *testing.T) {
	s := newSpace(t)
	l := s.Listen("127.0.0.1:80")
	for range 19 {
		s.Dial(l, none, netip.MustParseAddrPort("127.0.0.1:80"))
	}
	// 19 connections have two ends here, and there is the listener: 39 of 100.
	for gate, want := range map[int]bool{0: true, 39: true, 40: false, 100: false} {
		n := s.read(gate)
		if n.Detailed != want || (n.Held > 0) != want || (len(n.Destinations) > 0) != want || n.States.Total() > 0 != want {
			t.Errorf("gate %d: %+v", gate, n)
		}
		if n.Settings.Range != (ports.Range{First: 40000, Last: 40099}) {
			t.Errorf("gate %d: settings %+v", gate, n.Settings)
		}
	}
}

func TestSettingsAreThoseOfTheNamespaceAsTheyAreNow(t *testing.T) {
	s := newSpace(t)
	before := s.read(0).Settings
	s.WriteSysctl("net.ipv4.ip_local_port_range", "30000 30999")
	var list []string
	for port := 20000; port < 32000; port += 2 { // longer than any small buffer
		list = append(list, fmt.Sprint(port))
	}
	s.WriteSysctl("net.ipv4.ip_local_reserved_ports", strings.Join(list, ","))
	s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
	s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
	s.WriteSysctl("net.ipv4.tcp_fin_timeout", "7")
	s.WriteSysctl("net.ipv4.tcp_max_tw_buckets", "4321")
	want := socket.Settings{Range: ports.Range{First: 30000, Last: 30999}, Reserved: 500, Reuse: socket.ReuseAll,
		ReuseDelay: before.ReuseDelay, FinTimeout: 7 * time.Second, MaxTimeWait: 4321}
	if got := s.read(0).Settings; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestANamespaceThatVanishesIsLetGo(t *testing.T) {
	s := newSpace(t)
	without, before := len(s.sample(0).Networks), descriptors(t)
	gone, err := testnet.New()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(s.folder, "gone")
	if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", gone.FD()), link); err != nil {
		t.Fatal(err)
	}
	with, during := len(s.sample(0).Networks), descriptors(t)
	if again := len(s.sample(0).Networks); with != without+1 || again != with || descriptors(t) != during {
		t.Errorf("%d networks, then %d and %d; %d descriptors, then %d", without, with, again, during, descriptors(t))
	}
	if err := errors.Join(gone.Close(), os.Remove(link)); err != nil {
		t.Fatal(err)
	}
	sample := s.sample(0)
	if got := len(sample.Networks); got != without || descriptors(t) != before {
		t.Errorf("%d networks, want %d; %d descriptors, want %d; unseen %v", got, without, descriptors(t), before, sample.Unobserved)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func TestASampleSaysWhoSpokeAndWhatItCost(t *testing.T) {
	s := newSpace(t)
	sample := s.sample(0)
	if r := sample.Reader; r.Name != "sockdiag" || r.Exactness != socket.UpperBound || r.Message == "" {
		t.Errorf("%+v", r)
	}
	if sample.Cost <= 0 || sample.Cost > time.Minute || sample.Taken.IsZero() {
		t.Errorf("cost %v, taken %v", sample.Cost, sample.Taken)
	}
	if sample.Failures != nil || !mentions(sample.Unobserved, "failed connects") {
		t.Errorf("failures %v, unseen %v", sample.Failures, sample.Unobserved)
	}
	n := s.read(0)
	var want uint64
	s.Do(func() {
		k, err := testnet.Bind(netip.MustParseAddrPort("127.0.0.1:0"))
		if err != nil {
			t.Error(err)
			return
		}
		want, err = k.NetnsCookie()
		if err := errors.Join(err, k.Close()); err != nil {
			t.Error(err)
		}
	})
	if n.Owner.Kind != socket.OwnerNone || n.Cookie == 0 || n.Cookie != want {
		t.Errorf("owner %+v, cookie %d, want nobody's and %d", n.Owner, n.Cookie, want)
	}
}

func mentions(unseen []socket.Unobserved, what string) bool {
	for _, u := range unseen {
		if strings.Contains(u.Item, what) && u.Reason != "" {
			return true
		}
	}
	return false
}

func TestACancelledSampleStops(t *testing.T) {
	r, err := sockdiag.Open(sockdiag.Options{OwnOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Sample(ctx, socket.Request{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestOwnOnly(t *testing.T) {
	r, err := sockdiag.Open(sockdiag.Options{OwnOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sample, err := r.Sample(context.Background(), socket.Request{})
	if err != nil || len(sample.Networks) != 1 || !mentions(sample.Unobserved, "other network namespaces") {
		t.Errorf("%v, %d networks, unseen %v", err, len(sample.Networks), sample.Unobserved)
	}
}

func TestTheCloserLookIsUnseenWhereItIsAskedFor(t *testing.T) {
	s := newSpace(t)
	for range 60 {
		if _, err := s.Connect(none, netip.MustParseAddrPort("127.0.0.1:80"), testnet.Repair); err != nil {
			t.Fatal(err)
		}
	}
	for percent, want := range map[int]bool{0: false, 60: true, 101: false} {
		sample, err := s.reader.Sample(t.Context(), socket.Request{LookPercent: percent})
		if err != nil {
			t.Fatal(err)
		}
		if got := mentions(sample.Unobserved, "who holds the tightest pool"); got != want {
			t.Errorf("asked at %d %%: unseen %v", percent, sample.Unobserved)
		}
	}
}

func TestAWrongProcRootIsAClearError(t *testing.T) {
	_, err := sockdiag.Open(sockdiag.Options{Proc: "/nowhere"})
	if err == nil || !strings.Contains(err.Error(), "no /nowhere/self/ns/net: is it a mounted procfs?") {
		t.Error(err)
	}
}

// TestWithoutPrivileges runs itself again as nobody.
func TestWithoutPrivileges(t *testing.T) {
	if os.Geteuid() == 0 {
		n := newSpace(t)
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestWithoutPrivileges$")
		cmd.Dir = "/"
		cmd.Env = append(os.Environ(), "PORTREEVE_NETNS="+fmt.Sprintf("/proc/%d/fd", os.Getpid()))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("as nobody, with net:[%d] held: %v\n%s", n.Inode(), err, out)
		}
		return
	}
	r, err := sockdiag.Open(sockdiag.Options{NetnsRoot: os.Getenv("PORTREEVE_NETNS")})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sample, err := r.Sample(context.Background(), socket.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if len(sample.Networks) != 1 || !sample.Networks[0].Detailed || sample.Networks[0].Settings.Range.Len() == 0 {
		t.Errorf("%+v, want the own namespace", sample.Networks)
	}
	if !mentions(sample.Unobserved, "processes") {
		t.Errorf("unseen %v, want why other processes' namespaces are not there", sample.Unobserved)
	}
}
