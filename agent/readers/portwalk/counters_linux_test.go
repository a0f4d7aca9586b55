package portwalk

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

// kernelsOwn is what the kernel itself shows of n's counters in /proc.
func kernelsOwn(t *testing.T, n *netnstest.Netns) socket.Counters {
	t.Helper()
	var netstat, conntrack []byte
	var err, none error
	n.Do(func() {
		netstat, err = os.ReadFile("/proc/thread-self/net/netstat")
		conntrack, none = os.ReadFile("/proc/thread-self/net/stat/nf_conntrack")
	})
	if err != nil {
		t.Fatal(err)
	}
	var c socket.Counters
	c.TimeWaitOverflow, err = kernelstat.Netstat(netstat, "TcpExt", "TCPTimeWaitOverflow")
	if err != nil {
		t.Fatal(err)
	}
	c.ListenOverflows, err = kernelstat.Netstat(netstat, "TcpExt", "ListenOverflows")
	if err != nil {
		t.Fatal(err)
	}
	if none == nil {
		d, err := kernelstat.ParseConntrackStat(conntrack)
		if err != nil {
			t.Fatal(err)
		}
		c.Conntrack = &socket.ConntrackCounters{InsertFailed: d.InsertFailed, Drop: d.Drop, EarlyDrop: d.EarlyDrop}
	}
	return c
}

// agree waits for a sample that says what the kernel says before it and after it, and
// returns that.
func agree(t *testing.T, r *Reader, n *netnstest.Netns, enough func(socket.Counters) bool) {
	t.Helper()
	var want, got socket.Counters
	await(t, func() bool {
		before := kernelsOwn(t, n)
		s := sample(t, r)
		for _, u := range r.counting.unseen {
			t.Fatalf("unseen %v", u)
		}
		got, want = *find(&s, n.Inode()).Counters, kernelsOwn(t, n)
		if !cmp.Equal(before, want) || !enough(want) {
			return false
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-kernel +got:\n%s", diff)
		}
		return true
	})
}

func TestCountersAreThoseOfEachNamespace(t *testing.T) {
	r := open(t, Options{})
	n, quiet := netnstest.New(t), netnstest.New(t)
	n.WriteSysctl("net.ipv4.tcp_max_tw_buckets", "5")
	n.WriteSysctl("net.core.somaxconn", "1")
	n.WriteSysctl("net.ipv4.tcp_syncookies", "0")
	l := n.Listen("127.0.0.1:80")
	for range 20 {
		if err := n.Dial(l, home, server).EnterTimeWait(); err != nil {
			t.Fatal(err)
		}
	}
	for range 8 { // nobody accepts them
		k, err := start(n, server)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Close() })
	}
	agree(t, r, n, func(c socket.Counters) bool { return c.TimeWaitOverflow >= 15 && c.ListenOverflows >= 3 })
	agree(t, r, quiet, func(c socket.Counters) bool { return c.TimeWaitOverflow == 0 && c.ListenOverflows == 0 })
}

// start starts a connection and doesn't wait for it.
func start(n *netnstest.Netns, dst netip.AddrPort) (k *testnet.Socket, err error) {
	n.Do(func() {
		if k, err = testnet.Open(dst.Addr(), unix.SOCK_STREAM|unix.SOCK_NONBLOCK); err != nil {
			return
		}
		if err = k.Connect(dst); errors.Is(err, unix.EINPROGRESS) {
			err = nil
		}
	})
	return k, err
}

func TestConntrackDropsAreThoseOfEachNamespace(t *testing.T) {
	r := open(t, Options{})
	n := netnstest.New(t)
	nft(t, n, "table ip t { chain c { type nat hook postrouting priority srcnat; tcp dport 80 snat to 127.0.0.1:5000; }; }")
	n.Listen("127.0.0.1:80")
	for range 4 { // of which one gets the port
		k, err := start(n, server)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Close() })
	}
	agree(t, r, n, func(c socket.Counters) bool {
		return c.Conntrack != nil && c.Conntrack.InsertFailed >= 3 && c.Conntrack.Drop >= 3
	})
}

func nft(t *testing.T, n *netnstest.Netns, rules string) {
	t.Helper()
	path, err := exec.LookPath("nft")
	if err != nil {
		t.Skipf("%v: run make deps", err)
	}
	cmd := exec.Command(path, rules)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	n.Start(cmd)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("nft: %v: %s", err, said.String())
	}
}

// Where connection tracking is a module, its counters are there from the second
// sample on after it was loaded.
func TestConntrackIsNoticedWhenItsModuleIsLoaded(t *testing.T) {
	if os.Getenv("PORTREEVE_VM") == "" {
		t.Skip("needs a kernel of its own: the test loads a module")
	}
	r := open(t, Options{})
	n := netnstest.New(t)
	if kernelsOwn(t, n).Conntrack != nil {
		t.Skip("connection tracking is there already")
	}
	s := sample(t, r)
	if got := find(&s, n.Inode()).Counters; got == nil || got.Conntrack != nil {
		t.Errorf("before: %+v, want counters without those of conntrack", got)
	}
	if out, err := exec.Command("modprobe", "nf_conntrack").CombinedOutput(); err != nil {
		t.Fatalf("modprobe nf_conntrack: %v: %s", err, out)
	}
	sample(t, r)
	agree(t, r, n, func(c socket.Counters) bool { return c.Conntrack != nil })
}
