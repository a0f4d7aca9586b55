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

// readKernelCounters reads n's counters from /proc.
func readKernelCounters(t *testing.T, n *netnstest.Netns) socket.Counters {
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
	c.TimeWaitOverflow, err = kernelstat.ParseNetstat(netstat, "TcpExt", "TCPTimeWaitOverflow")
	if err != nil {
		t.Fatal(err)
	}
	c.ListenOverflows, err = kernelstat.ParseNetstat(netstat, "TcpExt", "ListenOverflows")
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

// checkCountersMatch waits until n's counters in /proc pass enough and did not change
// during a sample, and compares the sample's counters with them.
func checkCountersMatch(t *testing.T, r *Reader, n *netnstest.Netns, enough func(socket.Counters) bool) {
	t.Helper()
	var want, got socket.Counters
	waitUntil(t, func() bool {
		before := readKernelCounters(t, n)
		s := takeSample(t, r)
		for _, u := range r.counterLayout.unobserved {
			t.Fatalf("unobserved %v", u)
		}
		got, want = *findNetwork(&s, n.Inode()).Counters, readKernelCounters(t, n)
		if !cmp.Equal(before, want) || !enough(want) {
			return false
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-kernel +got:\n%s", diff)
		}
		return true
	})
}

func TestCountersArePerNamespace(t *testing.T) {
	r := openReader(t, Options{})
	n, quiet := netnstest.New(t), netnstest.New(t)
	n.WriteSysctl("net.ipv4.tcp_max_tw_buckets", "5")
	n.WriteSysctl("net.core.somaxconn", "1")
	n.WriteSysctl("net.ipv4.tcp_syncookies", "0")
	l := n.Listen("127.0.0.1:80")
	for range 20 {
		if err := n.Dial(l, loopback, server).EnterTimeWait(); err != nil {
			t.Fatal(err)
		}
	}
	for range 8 { // none is accepted
		k, err := startConnect(n, server)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Close() })
	}
	checkCountersMatch(t, r, n, func(c socket.Counters) bool { return c.TimeWaitOverflow >= 15 && c.ListenOverflows >= 3 })
	checkCountersMatch(t, r, quiet, func(c socket.Counters) bool { return c.TimeWaitOverflow == 0 && c.ListenOverflows == 0 })
}

// startConnect starts a connection without waiting for it.
func startConnect(n *netnstest.Netns, dst netip.AddrPort) (k *testnet.Socket, err error) {
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

func TestConntrackDropsArePerNamespace(t *testing.T) {
	r := openReader(t, Options{})
	n := netnstest.New(t)
	runNft(t, n, "table ip t { chain c { type nat hook postrouting priority srcnat; tcp dport 80 snat to 127.0.0.1:5000; }; }")
	n.Listen("127.0.0.1:80")
	for range 4 { // of which one gets the port
		k, err := startConnect(n, server)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Close() })
	}
	checkCountersMatch(t, r, n, func(c socket.Counters) bool {
		return c.Conntrack != nil && c.Conntrack.InsertFailed >= 3 && c.Conntrack.Drop >= 3
	})
}

func runNft(t *testing.T, n *netnstest.Netns, rules string) {
	t.Helper()
	path, err := exec.LookPath("nft")
	if err != nil {
		t.Skipf("%v: run make deps", err)
	}
	cmd := exec.Command(path, rules)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	n.Start(cmd)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("nft: %v: %s", err, output.String())
	}
}

// Where connection tracking is a module, its counters are read from the second sample
// after loading on.
func TestConntrackCountersAreReadOnceTheModuleIsLoaded(t *testing.T) {
	if os.Getenv("PORTREEVE_VM") == "" {
		t.Skip("needs a virtual machine: the test loads a kernel module")
	}
	r := openReader(t, Options{})
	n := netnstest.New(t)
	if readKernelCounters(t, n).Conntrack != nil {
		t.Skip("connection tracking is in use already")
	}
	s := takeSample(t, r)
	if got := findNetwork(&s, n.Inode()).Counters; got == nil || got.Conntrack != nil {
		t.Errorf("before: %+v, want counters without those of conntrack", got)
	}
	if out, err := exec.Command("modprobe", "nf_conntrack").CombinedOutput(); err != nil {
		t.Fatalf("modprobe nf_conntrack: %v: %s", err, out)
	}
	takeSample(t, r)
	checkCountersMatch(t, r, n, func(c socket.Counters) bool { return c.Conntrack != nil })
}
