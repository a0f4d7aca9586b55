package netnstest

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

// Netns is a network namespace that is removed with its test. The methods of
// testnet.Namespace return errors; those of Netns fail the test.
type Netns struct {
	*testnet.Namespace
	tb testing.TB
}

// New creates a namespace with lo up. It skips the test when it isn't run by root.
func New(tb testing.TB) *Netns {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root: the test creates a network namespace")
	}
	s, err := testnet.New()
	if errors.Is(err, unix.EPERM) {
		tb.Skipf("needs CAP_SYS_ADMIN and CAP_NET_ADMIN: %v", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close the namespace: %v", err)
		}
	})
	return &Netns{s, tb}
}

// WriteSysctl writes a per-namespace setting, such as "net.ipv4.ip_local_port_range".
func (n *Netns) WriteSysctl(key, value string) {
	n.tb.Helper()
	if err := n.Namespace.WriteSysctl(key, value); err != nil {
		n.tb.Fatal(err)
	}
}

// Start starts a command inside, which is killed with the test, and waits until the
// process has the command's name: execve(2) renames it after it has closed the
// descriptors that os/exec waits for (fs/exec.c, begin_new_exec).
func (n *Netns) Start(cmd *exec.Cmd) {
	n.tb.Helper()
	if err := n.Namespace.Start(cmd); err != nil {
		n.tb.Fatal(err)
	}
	ours, err := readComm(os.Getpid())
	if err != nil {
		n.tb.Fatal(err)
	}
	if strings.HasPrefix(filepath.Base(cmd.Path), ours) {
		return // the same program
	}
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		if is, err := readComm(cmd.Process.Pid); err != nil || is != ours {
			return
		}
		if time.Now().After(end) {
			n.tb.Fatalf("the process of %s still has the name %s", cmd.Path, ours)
		}
	}
}

// readComm returns the kernel's name of a process, of 15 bytes at most.
func readComm(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(text)), err
}

// Listen listens at an address such as "127.0.0.1:80".
func (n *Netns) Listen(addr string, opts ...testnet.Option) *testnet.Socket {
	n.tb.Helper()
	k, err := n.Namespace.Listen(netip.MustParseAddrPort(addr), opts...)
	if err != nil {
		n.tb.Fatalf("listen at %s: %v", addr, err)
	}
	return k
}

// Dial connects from src, which may be the zero value, to dst and accepts the connection
// from the listener.
func (n *Netns) Dial(l *testnet.Socket, src, dst netip.AddrPort, opts ...testnet.Option) testnet.Pair {
	n.tb.Helper()
	p, err := n.Namespace.Dial(l, src, dst, opts...)
	if err != nil {
		n.tb.Fatalf("connect %v to %v: %v", src, dst, err)
	}
	return p
}

// Exhaust returns the number of sockets that connect() from src to dst.
func (n *Netns) Exhaust(src, dst netip.AddrPort, opts ...testnet.Option) int {
	n.tb.Helper()
	return n.mustCount(n.Namespace.Exhaust(src, dst, opts...))
}

// ExhaustBind returns the number of sockets that bind() to addr, port 0.
func (n *Netns) ExhaustBind(addr netip.Addr, opts ...testnet.Option) int {
	n.tb.Helper()
	return n.mustCount(n.Namespace.ExhaustBind(addr, opts...))
}

func (n *Netns) mustCount(c int, err error) int {
	n.tb.Helper()
	if err != nil {
		n.tb.Fatal(err)
	}
	return c
}

// AwaitStates waits until the namespace has exactly these TCP sockets.
func (n *Netns) AwaitStates(want tcpstate.Counts) {
	n.tb.Helper()
	if err := n.Namespace.AwaitStates(want); err != nil {
		n.tb.Fatal(err)
	}
}

// ConnectVeth connects the namespace to another by a veth pair, "veth0" on both sides.
func (n *Netns) ConnectVeth(other *Netns, addr, otherAddr string) {
	n.tb.Helper()
	err := testnet.ConnectVeth(n.Namespace, other.Namespace, "veth0", netip.MustParsePrefix(addr), netip.MustParsePrefix(otherAddr))
	if err != nil {
		n.tb.Fatal(err)
	}
}

// StartLoad starts a load in the namespace, in a process of its own, and waits until all of
// its sockets are open. They are closed with the test, or by Stop.
func (n *Netns) StartLoad(l testnet.Load) *testnet.LoadProcess {
	n.tb.Helper()
	p, err := n.Namespace.StartLoad(l)
	if err != nil {
		n.tb.Fatal(err)
	}
	return p
}
