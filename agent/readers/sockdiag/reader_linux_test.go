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

var noAddress netip.AddrPort

// testNetns is a namespace with the port range 40000-40099, and a reader that finds it.
type testNetns struct {
	*netnstest.Netns
	t      *testing.T
	reader *sockdiag.Reader
	folder string
}

func newTestNetns(t *testing.T) *testNetns {
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
	return &testNetns{n, t, r, folder}
}

func (s *testNetns) takeSample(gate int) socket.Sample {
	s.t.Helper()
	sample, err := s.reader.Sample(context.Background(), socket.Request{DetailPercent: gate})
	if err != nil {
		s.t.Fatal(err)
	}
	return sample
}

func (s *testNetns) readNetwork(gate int) socket.Network {
	s.t.Helper()
	sample := s.takeSample(gate)
	for _, n := range sample.Networks {
		if n.Inode == s.Inode() {
			return n
		}
	}
	s.t.Fatalf("net:[%d] is missing from %d networks; unobserved %v", s.Inode(), len(sample.Networks), sample.Unobserved)
	return socket.Network{}
}

// calculateConnectHeadroom returns the headroom of connect() from src to dst in n.
func calculateConnectHeadroom(n socket.Network, src netip.Addr, dst netip.AddrPort) int {
	left := n.Settings.Range.Len() - n.Settings.Reserved - n.Skipped
	for _, d := range n.Destinations {
		if d.Source == src.Unmap() && d.Address == dst.Addr().Unmap() && d.Port == dst.Port() {
			left -= d.States.Total() - int(d.Reusable)
		}
	}
	return left
}

func calculateBindHeadroom(n socket.Network) int {
	return n.Settings.Range.Len() - n.Settings.Reserved - n.InUse
}

// TestGroundTruth compares the headroom with the number of ports that connect() then
// gets, in cases where a dump shows everything relevant.
func TestGroundTruth(t *testing.T) {
	to := netip.MustParseAddrPort
	dst, other := to("127.0.0.1:80"), to("127.0.0.2:80")
	dial := func(s *testNetns, l *testnet.Socket, count int, dst netip.AddrPort, end func(testnet.Pair) error) {
		for range count {
			if err := end(s.Dial(l, noAddress, dst)); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	open := func(testnet.Pair) error { return nil }
	// Longer than tcp_tw_reuse_delay, and than the whole second of older kernels. The
	// condition is time itself.
	waitUntilReusable := func() { time.Sleep(2100 * time.Millisecond) }
	for name, test := range map[string]struct {
		build   func(*testNetns, *testnet.Socket)
		connect int // to dst, from 127.0.0.1
	}{
		"an empty namespace":                  {func(*testNetns, *testnet.Socket) {}, 100},
		"30 connections":                      {func(s *testNetns, l *testnet.Socket) { dial(s, l, 30, dst, open) }, 70},
		"a full pool":                         {func(s *testNetns, l *testnet.Socket) { dial(s, l, 100, dst, open) }, 0},
		"another destination is another pool": {func(s *testNetns, l *testnet.Socket) { dial(s, l, 30, other, open) }, 100},
		"IPv4-mapped connections": {func(s *testNetns, l *testnet.Socket) {
			for range 20 {
				if _, err := s.Connect(noAddress, to("[::ffff:127.0.0.1]:80"), testnet.Repair); err != nil {
					s.t.Fatal(err)
				}
			}
		}, 80},
		"10 listeners in the range": {func(s *testNetns, _ *testnet.Socket) {
			for port := range 10 {
				s.Listen(fmt.Sprintf("127.0.0.1:%d", 40010+port))
			}
		}, 90},
		"51 reserved ports": {func(s *testNetns, _ *testnet.Socket) {
			s.WriteSysctl("net.ipv4.ip_local_reserved_ports", "40000-40050")
		}, 49},
		"a reserved port that is taken counts once": {func(s *testNetns, l *testnet.Socket) {
			dial(s, l, 30, dst, open)
			s.WriteSysctl("net.ipv4.ip_local_reserved_ports", "40000-40099")
		}, 0},
		"clients of a listener in the range": {func(s *testNetns, _ *testnet.Socket) {
			l := s.Listen("127.0.0.1:40001")
			dial(s, l, 5, to("127.0.0.1:40001"), open)
		}, 99},
		"TIME_WAIT without reuse": {func(s *testNetns, l *testnet.Socket) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "0")
			dial(s, l, 40, dst, testnet.Pair.EnterTimeWait)
			waitUntilReusable()
		}, 60},
		"TIME_WAIT with reuse, old enough": {func(s *testNetns, l *testnet.Socket) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
			dial(s, l, 40, dst, testnet.Pair.EnterTimeWait)
			waitUntilReusable()
		}, 100},
		"TIME_WAIT of loopback with reuse of loopback only": {func(s *testNetns, l *testnet.Socket) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "2")
			dial(s, l, 40, dst, testnet.Pair.EnterTimeWait)
			waitUntilReusable()
		}, 100},
		"TIME_WAIT without timestamps": {func(s *testNetns, l *testnet.Socket) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
			s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
			dial(s, l, 40, dst, testnet.Pair.EnterTimeWait)
			waitUntilReusable()
		}, 60},
		"of CLOSE_WAIT, FIN_WAIT2 and TIME_WAIT only the last is reusable": {func(s *testNetns, l *testnet.Socket) {
			s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
			dial(s, l, 20, dst, testnet.Pair.EnterCloseWait)
			dial(s, l, 20, dst, testnet.Pair.EnterFinWait2)
			dial(s, l, 20, dst, testnet.Pair.EnterTimeWait)
			waitUntilReusable()
		}, 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTestNetns(t)
			test.build(s, s.Listen("0.0.0.0:80"))
			n := s.readNetwork(0)
			if got := calculateConnectHeadroom(n, netip.MustParseAddr("127.0.0.1"), dst); got != test.connect {
				t.Errorf("headroom %d, want %d: %+v", got, test.connect, n)
			}
			if truth := s.Exhaust(noAddress, dst); truth != test.connect {
				t.Errorf("connect() got %d ports, want %d", truth, test.connect)
			}
		})
	}
}

func TestTimeWaitOverVethIsNotReusableByTheLoopbackSetting(t *testing.T) {
	s, far := newTestNetns(t), netnstest.New(t)
	s.ConnectVeth(far, "10.99.0.1/24", "10.99.0.2/24")
	s.WriteSysctl("net.ipv4.tcp_tw_reuse", "2")
	l, dst := far.Listen("10.99.0.2:80"), netip.MustParseAddrPort("10.99.0.2:80")
	for range 40 {
		if err := s.Dial(l, noAddress, dst).EnterTimeWait(); err != nil {
			t.Fatal(err)
		}
	}
	if got := calculateConnectHeadroom(s.readNetwork(0), netip.MustParseAddr("10.99.0.1"), dst); got != 60 {
		t.Errorf("headroom %d, want 60", got)
	}
}

func TestBoundOnlySocketsAreCountedSinceLinux68(t *testing.T) {
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
	s := newTestNetns(t)
	for range 10 {
		if _, err := s.Bind(netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
			t.Fatal(err)
		}
	}
	n := s.readNetwork(0)
	if n.InUse != 10 || n.Skipped != 10 || n.SkippedListening != 0 || n.States != (tcpstate.Counts{tcpstate.Bound: 10}) {
		t.Errorf("%+v", n)
	}
}

func TestUDPPortsAreCountedOnce(t *testing.T) {
	s := newTestNetns(t)
	for _, at := range []string{"127.0.0.1:40000", "127.0.0.2:40000", "[::1]:40000", "127.0.0.1:40001", "127.0.0.1:53"} {
		if _, err := s.BindUDP(netip.MustParseAddrPort(at)); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.readNetwork(0); n.UDPInUse != 2 || n.UDPSockets != 5 {
		t.Errorf("%d ports used by %d sockets, want 2 and 5", n.UDPInUse, n.UDPSockets)
	}
	if n := s.readNetwork(10); n.UDPInUse != 0 || n.UDPSockets != 5 { // 5 of 100 is below the gate
		t.Errorf("below the gate %d ports used by %d sockets, want 0 and 5", n.UDPInUse, n.UDPSockets)
	}
}

func TestADumpOfManyBuffersIsComplete(t *testing.T) {
	s := newTestNetns(t)
	s.WriteSysctl("net.ipv4.ip_local_port_range", "20000 29999")
	dst := netip.MustParseAddrPort("127.0.0.1:80")
	for range 5000 {
		if _, err := s.Connect(noAddress, dst, testnet.Repair); err != nil {
			t.Fatal(err)
		}
	}
	n := s.readNetwork(0)
	if len(n.Destinations) != 1 || n.Destinations[0].States != (tcpstate.Counts{tcpstate.Established: 5000}) || n.InUse != 5000 {
		t.Errorf("%d in use, %+v", n.InUse, n.Destinations)
	}
}

func TestTheGateOmitsNamespacesFarFromTheirLimit(t *testing.T) {
	s := newTestNetns(t)
	l := s.Listen("127.0.0.1:80")
	for range 19 {
		s.Dial(l, noAddress, netip.MustParseAddrPort("127.0.0.1:80"))
	}
	// 19 connections with both ends here and one listener make 39 of 100.
	for gate, want := range map[int]bool{0: true, 39: true, 40: false, 100: false} {
		n := s.readNetwork(gate)
		if n.Detailed != want || (n.InUse > 0) != want || (len(n.Destinations) > 0) != want || n.States.Total() > 0 != want {
			t.Errorf("gate %d: %+v", gate, n)
		}
		if n.Settings.Range != (ports.Range{First: 40000, Last: 40099}) {
			t.Errorf("gate %d: settings %+v", gate, n.Settings)
		}
	}
}

func TestSettingsArePerNamespaceAndUpToDate(t *testing.T) {
	s := newTestNetns(t)
	before := s.readNetwork(0).Settings
	s.WriteSysctl("net.ipv4.ip_local_port_range", "30000 30999")
	var list []string
	for port := 20000; port < 32000; port += 2 { // exceeds a small buffer
		list = append(list, fmt.Sprint(port))
	}
	s.WriteSysctl("net.ipv4.ip_local_reserved_ports", strings.Join(list, ","))
	s.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
	s.WriteSysctl("net.ipv4.tcp_timestamps", "0")
	s.WriteSysctl("net.ipv4.tcp_fin_timeout", "7")
	s.WriteSysctl("net.ipv4.tcp_max_tw_buckets", "4321")
	want := socket.Settings{Range: ports.Range{First: 30000, Last: 30999}, Reserved: 500, Reuse: socket.ReuseAll,
		ReuseDelay: before.ReuseDelay, FinTimeout: 7 * time.Second, MaxTimeWait: 4321}
	if got := s.readNetwork(0).Settings; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestAVanishedNamespaceIsClosed(t *testing.T) {
	s := newTestNetns(t)
	without, before := len(s.takeSample(0).Networks), countDescriptors(t)
	gone, err := testnet.New()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(s.folder, "gone")
	if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", gone.FD()), link); err != nil {
		t.Fatal(err)
	}
	with, during := len(s.takeSample(0).Networks), countDescriptors(t)
	if again := len(s.takeSample(0).Networks); with != without+1 || again != with || countDescriptors(t) != during {
		t.Errorf("%d networks, then %d and %d; %d descriptors, then %d", without, with, again, during, countDescriptors(t))
	}
	if err := errors.Join(gone.Close(), os.Remove(link)); err != nil {
		t.Fatal(err)
	}
	sample := s.takeSample(0)
	if got := len(sample.Networks); got != without || countDescriptors(t) != before {
		t.Errorf("%d networks, want %d; %d descriptors, want %d; unobserved %v", got, without, countDescriptors(t), before, sample.Unobserved)
	}
}

func countDescriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func TestASampleHasItsReaderAndItsCost(t *testing.T) {
	s := newTestNetns(t)
	sample := s.takeSample(0)
	if r := sample.Reader; r.Name != "sockdiag" || r.Exactness != socket.UpperBound || r.Message == "" {
		t.Errorf("%+v", r)
	}
	if sample.CPUTime <= 0 || sample.CPUTime > time.Minute || sample.Taken.IsZero() {
		t.Errorf("cost %v, taken %v", sample.CPUTime, sample.Taken)
	}
	if sample.Failures != nil || !hasUnobserved(sample.Unobserved, "failed connects") {
		t.Errorf("failures %v, unobserved %v", sample.Failures, sample.Unobserved)
	}
	n := s.readNetwork(0)
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
		t.Errorf("owner %+v, cookie %d, want no owner and %d", n.Owner, n.Cookie, want)
	}
}

func hasUnobserved(unobserved []socket.Unobserved, what string) bool {
	for _, u := range unobserved {
		if strings.Contains(u.Item, what) && u.Reason != "" {
			return true
		}
	}
	return false
}

func TestACanceledSampleStops(t *testing.T) {
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
	if err != nil || len(sample.Networks) != 1 || !hasUnobserved(sample.Unobserved, "other network namespaces") {
		t.Errorf("%v, %d networks, unobserved %v", err, len(sample.Networks), sample.Unobserved)
	}
}

func TestRequestedPoolDetailIsUnobserved(t *testing.T) {
	s := newTestNetns(t)
	for range 60 {
		if _, err := s.Connect(noAddress, netip.MustParseAddrPort("127.0.0.1:80"), testnet.Repair); err != nil {
			t.Fatal(err)
		}
	}
	for percent, want := range map[int]bool{0: false, 60: true, 101: false} {
		sample, err := s.reader.Sample(t.Context(), socket.Request{InspectPercent: percent})
		if err != nil {
			t.Fatal(err)
		}
		if got := hasUnobserved(sample.Unobserved, "processes using the fullest pool"); got != want {
			t.Errorf("requested from %d %% on: unobserved %v", percent, sample.Unobserved)
		}
	}
}

func TestAWrongProcRootIsAClearError(t *testing.T) {
	_, err := sockdiag.Open(sockdiag.Options{Proc: "/nowhere"})
	if err == nil || !strings.Contains(err.Error(), "/nowhere/self/ns/net not found; check that /nowhere is a mounted procfs: ") {
		t.Error(err)
	}
}

// TestWithoutPrivileges runs itself again as the user nobody.
func TestWithoutPrivileges(t *testing.T) {
	if os.Geteuid() == 0 {
		n := newTestNetns(t)
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestWithoutPrivileges$")
		cmd.Dir = "/"
		cmd.Env = append(os.Environ(), "PORTREEVE_NETNS="+fmt.Sprintf("/proc/%d/fd", os.Getpid()))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("as the user nobody, with net:[%d] open: %v\n%s", n.Inode(), err, out)
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
	if !hasUnobserved(sample.Unobserved, "processes") {
		t.Errorf("unobserved %v, want the reason why other processes' namespaces are missing", sample.Unobserved)
	}
}
