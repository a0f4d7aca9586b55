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

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

var (
	loopback = addrPort("127.0.0.1:0")
	server   = addrPort("127.0.0.1:80")
)

func openReader(t testing.TB, o Options) *Reader {
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

func takeSample(t *testing.T, r *Reader) socket.Sample {
	t.Helper()
	s, err := r.Sample(t.Context(), socket.Request{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func findNetwork(s *socket.Sample, inode uint64) *socket.Network {
	for i := range s.Networks {
		if s.Networks[i].Inode == inode {
			return &s.Networks[i]
		}
	}
	return nil
}

func newNetnsWith100Ports(t *testing.T) *netnstest.Netns {
	t.Helper()
	n := netnstest.New(t)
	n.WriteSysctl("net.ipv4.ip_local_port_range", "40000 40099")
	return n
}

func openConnections(t *testing.T, n *netnstest.Netns, count int, src, dst netip.AddrPort, opts ...testnet.Option) {
	t.Helper()
	for range count {
		if _, err := n.Connect(src, dst, append(opts, testnet.Repair)...); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSettingsArePerNamespace(t *testing.T) {
	n := netnstest.New(t)
	n.WriteSysctl("net.ipv4.ip_local_port_range", "20001 21000")
	n.WriteSysctl("net.ipv4.ip_local_reserved_ports", "1,20000-20002,20064,21000-21001,65535")
	n.WriteSysctl("net.ipv4.tcp_tw_reuse", "1")
	n.WriteSysctl("net.ipv4.tcp_timestamps", "0")
	n.WriteSysctl("net.ipv4.tcp_fin_timeout", "17")
	n.WriteSysctl("net.ipv4.tcp_max_tw_buckets", "4711")
	s := takeSample(t, openReader(t, Options{}))
	got := findNetwork(&s, n.Inode())
	want := socket.Settings{Range: ports.Range{First: 20001, Last: 21000}, Reserved: 4,
		Reuse: socket.ReuseAll, ReuseDelay: time.Second, FinTimeout: 17 * time.Second, MaxTimeWait: 4711}
	if got == nil || got.Settings != want {
		t.Errorf("got %+v, want the settings %+v", got, want)
	}
	if other := findNetwork(&s, netnstest.New(t).Inode()); other != nil {
		t.Errorf("a namespace created after the sample is in it")
	}
}

func TestOnlyConnectsThatFailForLackOfAPortAreCounted(t *testing.T) {
	r := openReader(t, Options{Failures: true})
	n := newNetnsWith100Ports(t)
	openConnections(t, n, 100, loopback, server)
	openConnections(t, n, 100, addrPort("[::1]:0"), addrPort("[::1]:80"))
	fail := func(count int, src, dst netip.AddrPort, want error, opts ...testnet.Option) {
		t.Helper()
		for range count {
			if _, err := n.Connect(src, dst, opts...); !errors.Is(err, want) {
				t.Fatalf("connect %v to %v: %v, want %v", src, dst, err, want)
			}
		}
	}
	fail(3, loopback, server, unix.EADDRNOTAVAIL)
	fail(2, addrPort("[::1]:0"), addrPort("[::1]:80"), unix.EADDRNOTAVAIL)
	fail(1, addrPort("[::ffff:127.0.0.1]:0"), addrPort("[::ffff:127.0.0.1]:80"), unix.EADDRNOTAVAIL)
	fail(4, loopback, addrPort("127.0.0.2:81"), unix.ECONNREFUSED)
	n.Listen("127.0.0.1:90")
	for range 5 { // connected and closed
		k, err := n.Connect(loopback, addrPort("127.0.0.1:90"))
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]uint64{}
	for _, f := range takeSample(t, r).Failures {
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

func TestAFullDestinationMapIsReportedGrownAndShrunkAgain(t *testing.T) {
	n := newNetnsWith100Ports(t)
	n.WriteSysctl("net.ipv4.ip_local_port_range", "40000 49999") // a large destination has 100 sockets
	var open []*testnet.Socket
	for port := range uint16(64) {
		for range 2 {
			k, err := n.Connect(loopback, netip.AddrPortFrom(server.Addr(), 1000+port), testnet.Repair)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, k)
		}
	}
	s := takeSample(t, openReader(t, Options{Destinations: 16, MaxDestinations: 16}))
	if got := findNetwork(&s, n.Inode()); !isUnobserved(&s, "destinations") || got.Uncounted == 0 {
		t.Errorf("a full map: at most %d sockets are missing, unobserved %v", got.Uncounted, s.Unobserved)
	}
	r := openReader(t, Options{Destinations: 16})
	for range 2 {
		s := takeSample(t, r)
		got := findNetwork(&s, n.Inode())
		if s.Reader.Exactness != socket.Exact || isUnobserved(&s, "destinations") || len(got.Destinations) != 64 || got.Uncounted != 0 {
			t.Errorf("after growing: %+v, unobserved %v, %d destinations", s.Reader, s.Unobserved, len(got.Destinations))
		}
	}
	grown := r.destinations.capacity
	for _, k := range open {
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 * samplesBeforeShrink {
		if takeSample(t, r); r.destinations.capacity < grown {
			return
		}
	}
	t.Errorf("the map still has %d entries", grown)
}

func isUnobserved(s *socket.Sample, what string) bool {
	for _, u := range s.Unobserved {
		if u.Item == what {
			return true
		}
	}
	return false
}

func TestANamespaceWithItsOwnHashTablesIsWalkedToo(t *testing.T) {
	r := openReader(t, Options{})
	parent := netnstest.New(t)
	if err := parent.Namespace.WriteSysctl("net.ipv4.tcp_child_ehash_entries", "64"); err != nil {
		t.Skipf("this kernel has one hash table for all namespaces (before Linux 6.1): %v", err)
	}
	// Linux 6.2 and later also have UDP tables.
	udp := parent.Namespace.WriteSysctl("net.ipv4.udp_child_hash_entries", "128") == nil
	parent.Do(func() { // on a thread that ends with this function
		if err := errors.Join(unix.Unshare(unix.CLONE_NEWNET), testnet.LinkUp("lo")); err != nil {
			t.Fatal(err)
		}
		for range 200 { // more than the table has buckets
			k, err := testnet.Connect(loopback, server, testnet.Repair)
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
		}
		for range 30 {
			k, err := testnet.BindUDP(addrPort("0.0.0.0:0"))
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
		}
		s := takeSample(t, r)
		own, host := &r.records[0], findRecord(r, parent.Inode())
		if own.TcpTable == host.TcpTable || udp && own.UdpTable == host.UdpTable {
			t.Error("the namespace shares its parent's tables, so the test proves nothing")
		}
		got := findNetwork(&s, uint64(own.Inum))
		if got.States[tcpstate.Established] != 200 || len(got.Destinations) != 1 || got.InUse != 200 || got.UDPInUse != 30 {
			t.Errorf("got %+v", got)
		}
	})
}

func findRecord(r *Reader, inode uint64) *walkNetRec {
	for i := range r.records {
		if uint64(r.records[i].Inum) == inode {
			return &r.records[i]
		}
	}
	return &walkNetRec{}
}

func TestTheGateOmitsDestinationsOfIdleNamespaces(t *testing.T) {
	quiet, busy := newNetnsWith100Ports(t), newNetnsWith100Ports(t)
	openConnections(t, quiet, 9, loopback, server)
	openConnections(t, busy, 10, loopback, server)
	s, err := openReader(t, Options{}).Sample(t.Context(), socket.Request{DetailPercent: 10})
	if err != nil {
		t.Fatal(err)
	}
	q, b := findNetwork(&s, quiet.Inode()), findNetwork(&s, busy.Inode())
	if q.Detailed || q.InUse != 9 || len(q.Destinations) != 0 {
		t.Errorf("the quiet one: %+v", q)
	}
	if !b.Detailed || b.InUse != 10 || len(b.Destinations) != 1 {
		t.Errorf("the busy one: %+v", b)
	}
}

func TestAProcessIsTheOwnerOfItsNamespaceWhileItLives(t *testing.T) {
	r := openReader(t, Options{})
	n := netnstest.New(t)
	owner := func() socket.Owner {
		s := takeSample(t, r)
		return findNetwork(&s, n.Inode()).Owner
	}
	if got := owner(); got.Kind != socket.OwnerNone {
		t.Errorf("without a process: %+v", got)
	}
	cmd := exec.Command("sleep", "60")
	n.Start(cmd)
	waitUntil(t, func() bool { return owner().Process == "sleep" })
	if got := owner(); got.PID != cmd.Process.Pid {
		t.Errorf("owner %+v, want PID %d", got, cmd.Process.Pid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, func() bool { return owner().Kind == socket.OwnerNone })
}

// A container's first process is the runtime until it executes the workload.
func TestTheOwnerIsReadAgainAfterExec(t *testing.T) {
	r := openReader(t, Options{})
	n := netnstest.New(t)
	cmd := exec.Command("sh", "-c", "read line; exec sleep 60")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	n.Start(cmd)
	owner := func() string {
		s := takeSample(t, r)
		return findNetwork(&s, n.Inode()).Owner.Process
	}
	waitUntil(t, func() bool { return owner() == "sh" || owner() == "busybox" })
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, func() bool { return owner() == "sleep" })
}

func waitUntil(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited for 2 minutes")
		}
	}
}

func TestACanceledSampleReturnsTheContextsError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := openReader(t, Options{}).Sample(ctx, socket.Request{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The first sample already has the caller's sockets.
func TestTheFirstSampleHasUDPAndTheMemoryLimits(t *testing.T) {
	n := newNetnsWith100Ports(t)
	if _, err := n.BindUDP(addrPort("0.0.0.0:0")); err != nil {
		t.Fatal(err)
	}
	s := takeSample(t, openReader(t, Options{}))
	if got := findNetwork(&s, n.Inode()); got.UDPInUse != 1 || got.UDPSockets != 1 {
		t.Errorf("UDP: %d ports, %d sockets, want 1 and 1", got.UDPInUse, got.UDPSockets)
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
		if got := listMissingCapabilities(c.have); len(got) != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAFailedGrowthKeepsTheCurrentMap(t *testing.T) {
	r := openReader(t, Options{})
	const tooMany = 1 << 30 // the kernel refuses a map of twice that many
	r.destinations.capacity, r.destinations.maximum = tooMany, 4*tooMany
	if r.destinations.growForRecords([]walkNetRec{{Uncounted: 1}}) || r.destinations.maximum != tooMany {
		t.Errorf("the maximum is %d, want %d and no growth", r.destinations.maximum, tooMany)
	}
	if s, err := r.Sample(t.Context(), socket.Request{}); err != nil || len(s.Networks) == 0 {
		t.Errorf("%d networks, %v", len(s.Networks), err)
	}
}
