package portwalk

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

var (
	home   = ap("127.0.0.1:0")
	server = ap("127.0.0.1:80")
)

func open(t testing.TB, o Options) *Reader {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the test reads the kernel's tables")
	}
	r, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func sample(t *testing.T, r *Reader) socket.Sample {
	t.Helper()
	s, err := r.Sample(t.Context(), socket.Request{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func find(s *socket.Sample, inode uint64) *socket.Network {
	for i := range s.Networks {
		if s.Networks[i].Inode == inode {
			return &s.Networks[i]
		}
	}
	return nil
}

func hundred(t *testing.T) *netnstest.Netns {
	t.Helper()
	n := netnstest.New(t)
	n.WriteSysctl("net.ipv4.ip_local_port_range", "40000 40099")
	return n
}

func connect(t *testing.T, n *netnstest.Netns, count int, src, dst netip.AddrPort, opts ...testnet.Option) {
	t.Helper()
	for range count {
		if _, err := n.Connect(src, dst, append(opts, testnet.Repair)...); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSettingsAreThoseOfEachNamespace(t *testing.T) {
	n := netnstest.New(t)
	n.WriteSysctl("net.ipv4.ip_local_port_range", "20001 21000")
	n.WriteSysctl("net.ipv4.ip_local_reserved_ports", "1,20000-20002,20064,21000-21001,65535")
	n.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
	n.WriteSysctl("net.ipv4.tcp_timestamps", "0")
	n.WriteSysctl("net.ipv4.tcp_fin_timeout", "17")
	n.WriteSysctl("net.ipv4.tcp_max_tw_buckets", "4711")
	s := sample(t, open(t, Options{}))
	got := find(&s, n.Inode())
	want := socket.Settings{Range: ports.Range{First: 20001, Last: 21000}, Reserved: 4,
		Reuse: socket.ReuseAll, ReuseDelay: time.Second, FinTimeout: 17 * time.Second, MaxTimeWait: 4711}
	if got == nil || got.Settings != want {
		t.Errorf("got %+v, want the settings %+v", got, want)
	}
	if other := find(&s, netnstest.New(t).Inode()); other != nil {
		t.Errorf("a namespace that was made afterwards is in the sample")
	}
}

func TestFailedConnectsAreCountedAndNoOthers(t *testing.T) {
	r := open(t, Options{Failures: true})
	n := hundred(t)
	connect(t, n, 100, home, server)
	connect(t, n, 100, ap("[::1]:0"), ap("[::1]:80"))
	fail := func(count int, src, dst netip.AddrPort, want error, opts ...testnet.Option) {
		t.Helper()
		for range count {
			if _, err := n.Connect(src, dst, opts...); !errors.Is(err, want) {
				t.Fatalf("connect %v to %v: %v, want %v", src, dst, err, want)
			}
		}
	}
	fail(3, home, server, unix.EADDRNOTAVAIL)
	fail(2, ap("[::1]:0"), ap("[::1]:80"), unix.EADDRNOTAVAIL)
	fail(1, ap("[::ffff:127.0.0.1]:0"), ap("[::ffff:127.0.0.1]:80"), unix.EADDRNOTAVAIL)
	fail(4, home, ap("127.0.0.2:81"), unix.ECONNREFUSED)
	n.Listen("127.0.0.1:90")
	for range 5 { // connected and closed
		k, err := n.Connect(home, ap("127.0.0.1:90"))
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]uint64{}
	for _, f := range sample(t, r).Failures {
		if f.Inode == n.Inode() {
			got[f.Source.String()+" > "+netip.AddrPortFrom(f.Destination, f.Port).String()] += f.Count
			if age := time.Since(f.LastAt); age < -time.Second || age > time.Minute {
				t.Errorf("the last failure is %v old", age)
			}
		}
	}
	want := map[string]uint64{"127.0.0.1 > 127.0.0.1:80": 4, "::1 > [::1]:80": 2}
	if len(got) != len(want) || got["127.0.0.1 > 127.0.0.1:80"] != 4 || got["::1 > [::1]:80"] != 2 {
		t.Errorf("failed connects: %v, want %v", got, want)
	}
}

func TestAFullMapIsReportedAndThenGrown(t *testing.T) {
	n := hundred(t)
	for port := range uint16(64) {
		connect(t, n, 2, home, netip.AddrPortFrom(server.Addr(), 1000+port))
	}
	r := open(t, Options{Destinations: 16, MaxDestinations: 16})
	s := sample(t, r)
	if s.Reader.Exactness != socket.Approximate || !unseen(&s, "destinations") {
		t.Errorf("a full map: %+v, unseen %v", s.Reader, s.Unobserved)
	}
	r = open(t, Options{Destinations: 16})
	for range 2 {
		s = sample(t, r)
		got := find(&s, n.Inode())
		if s.Reader.Exactness != socket.Exact || unseen(&s, "destinations") || len(got.Destinations) != 64 {
			t.Errorf("after growing: %+v, unseen %v, %d destinations", s.Reader, s.Unobserved, len(got.Destinations))
		}
	}
}

func unseen(s *socket.Sample, what string) bool {
	for _, u := range s.Unobserved {
		if u.Item == what {
			return true
		}
	}
	return false
}

func TestANamespaceWithHashTablesOfItsOwnIsWalkedToo(t *testing.T) {
	r := open(t, Options{})
	parent := netnstest.New(t)
	parent.WriteSysctl("net.ipv4.tcp_child_ehash_entries", "64")
	// Linux 6.2 has tables for UDP, too.
	udp := parent.Namespace.WriteSysctl("net.ipv4.udp_child_hash_entries", "128") == nil
	parent.Do(func() { // on a thread that ends with this function
		if err := errors.Join(unix.Unshare(unix.CLONE_NEWNET), testnet.LinkUp("lo")); err != nil {
			t.Fatal(err)
		}
		for range 200 { // more than the table has buckets
			k, err := testnet.Connect(home, server, testnet.Repair)
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
		}
		for range 30 {
			k, err := testnet.BindUDP(ap("0.0.0.0:0"))
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
		}
		s := sample(t, r)
		own, host := &r.recs[0], recordOf(r, parent.Inode())
		if own.TcpTable == host.TcpTable || udp && own.UdpTable == host.UdpTable {
			t.Error("the namespace has no tables of its own: nothing is tested here")
		}
		got := find(&s, uint64(own.Inum))
		if got.States[tcpstate.Established] != 200 || len(got.Destinations) != 1 || got.Held != 200 || got.UDPHeld != 30 {
			t.Errorf("got %+v", got)
		}
	})
}

func recordOf(r *Reader, inode uint64) *walkNetRec {
	for i := range r.recs {
		if uint64(r.recs[i].Inum) == inode {
			return &r.recs[i]
		}
	}
	return &walkNetRec{}
}

func TestTheGateLeavesOutDestinationsOfQuietNamespaces(t *testing.T) {
	quiet, busy := hundred(t), hundred(t)
	connect(t, quiet, 9, home, server)
	connect(t, busy, 10, home, server)
	s, err := open(t, Options{}).Sample(t.Context(), socket.Request{GatePercent: 10})
	if err != nil {
		t.Fatal(err)
	}
	q, b := find(&s, quiet.Inode()), find(&s, busy.Inode())
	if q.Detailed || q.Held != 9 || len(q.Destinations) != 0 {
		t.Errorf("the quiet one: %+v", q)
	}
	if !b.Detailed || b.Held != 10 || len(b.Destinations) != 1 {
		t.Errorf("the busy one: %+v", b)
	}
}

func TestAProcessIsTheOwnerOfItsNamespaceWhileItLives(t *testing.T) {
	r := open(t, Options{})
	n := netnstest.New(t)
	owner := func() socket.Owner {
		s := sample(t, r)
		return find(&s, n.Inode()).Owner
	}
	if got := owner(); got.Kind != socket.OwnerNone {
		t.Errorf("without a process: %+v", got)
	}
	cmd := exec.Command("sleep", "60")
	n.Start(cmd)
	await(t, func() bool { return owner().Process == "sleep" })
	if got := owner(); got.PID != cmd.Process.Pid {
		t.Errorf("owner %+v, want PID %d", got, cmd.Process.Pid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return owner().Kind == socket.OwnerNone })
}

// A container's first process is the runtime's until it becomes the workload.
func TestTheOwnerIsNamedAnewAfterExec(t *testing.T) {
	r := open(t, Options{})
	n := netnstest.New(t)
	cmd := exec.Command("sh", "-c", "read line; exec sleep 60")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	n.Start(cmd)
	owner := func() string {
		s := sample(t, r)
		return find(&s, n.Inode()).Owner.Process
	}
	await(t, func() bool { return owner() == "sh" || owner() == "busybox" })
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return owner() == "sleep" })
}

func await(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited for 2 minutes")
		}
	}
}

func TestACancelledSampleSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(t, Options{}).Sample(ctx, socket.Request{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The very first sample already knows the caller's sockets.
func TestTheFirstSampleSeesUDPAndTheMemoryLimits(t *testing.T) {
	n := hundred(t)
	if _, err := n.BindUDP(ap("0.0.0.0:0")); err != nil {
		t.Fatal(err)
	}
	s := sample(t, open(t, Options{}))
	if got := find(&s, n.Inode()); got.UDPHeld != 1 || got.UDPSockets != 1 {
		t.Errorf("UDP: %d ports, %d sockets, want 1 and 1", got.UDPHeld, got.UDPSockets)
	}
	var want [3]uint64
	b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_mem")
	if err != nil {
		t.Skip(err) // not in the machine's own network namespace
	}
	if _, err := fmt.Sscan(string(b), &want[0], &want[1], &want[2]); err != nil {
		t.Fatal(err)
	}
	if s.TCPMemoryLimits == nil || *s.TCPMemoryLimits != want {
		t.Errorf("tcp_mem: %v, want %v", s.TCPMemoryLimits, want)
	}
}

func TestMissingCapabilitiesAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		have uint64
		want int
	}{
		"none":               {0, 2},
		"BPF only":           {1 << unix.CAP_BPF, 1},
		"both":               {1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON, 0},
		"SYS_ADMIN for both": {1 << unix.CAP_SYS_ADMIN, 0},
	} {
		if got := lacking(c.have); len(got) != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
