package procfs_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent"
	"portreeve.io/portreeve/agent/readers/procfs"
	"portreeve.io/portreeve/agent/readers/sockdiag"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

var _ agent.Reader = (*procfs.Reader)(nil)

var (
	noAddress netip.AddrPort
	server    = netip.MustParseAddrPort("127.0.0.1:80")
)

// testNetwork is a network namespace with a process by which the reader finds it.
type testNetwork struct {
	*netnstest.Netns
	t   *testing.T
	pid int
}

func newTestNetwork(t *testing.T) *testNetwork {
	n := netnstest.New(t)
	cmd := exec.Command("sleep", "infinity")
	n.Start(cmd)
	return &testNetwork{n, t, cmd.Process.Pid}
}

// readUnprivileged returns a sample that a thread without any privilege takes, like an agent in
// a pod with hostPID.
func (n *testNetwork) readUnprivileged(req socket.Request) (sample socket.Sample) {
	n.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread ends with the goroutine
		done <- func() error {
			const nobody = 65532
			// For this thread only: those of package syscall are for all threads.
			for _, call := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
				if _, _, errno := unix.RawSyscall(call, nobody, nobody, nobody); errno != 0 {
					return errno
				}
			}
			r, err := procfs.Open(procfs.Options{})
			if err != nil {
				return err
			}
			sample, err = r.Sample(context.Background(), req)
			return errors.Join(err, r.Close())
		}()
	}()
	if err := <-done; err != nil {
		n.t.Fatal(err)
	}
	return sample
}

// findNetwork returns the network of the process in the namespace.
func (n *testNetwork) findNetwork(s socket.Sample) socket.Network {
	n.t.Helper()
	for _, network := range s.Networks {
		if network.Owner.PID == n.pid {
			return network
		}
	}
	n.t.Fatalf("the network of PID %d is missing; unobserved %v", n.pid, s.Unobserved)
	return socket.Network{}
}

// readWithSockDiag returns the same network as the sockdiag reader sees it.
func (n *testNetwork) readWithSockDiag() socket.Network {
	n.t.Helper()
	folder := n.t.TempDir()
	if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", n.FD()), filepath.Join(folder, "test")); err != nil {
		n.t.Fatal(err)
	}
	r, err := sockdiag.Open(sockdiag.Options{NetnsRoot: folder})
	if err != nil {
		n.t.Fatal(err)
	}
	defer r.Close()
	s, err := r.Sample(context.Background(), socket.Request{})
	if err != nil {
		n.t.Fatal(err)
	}
	for _, network := range s.Networks {
		if network.Inode == n.Inode() {
			return network
		}
	}
	n.t.Fatalf("net:[%d] is missing", n.Inode())
	return socket.Network{}
}

func (n *testNetwork) dial(l *testnet.Socket, count int, end func(testnet.Pair) error) {
	n.t.Helper()
	for range count {
		if err := end(n.Dial(l, noAddress, server)); err != nil {
			n.t.Fatal(err)
		}
	}
}

func keepOpen(testnet.Pair) error { return nil }

func TestAnUnprivilegedReaderSeesWhatSockDiagSees(t *testing.T) {
	for name, build := range map[string]func(*testNetwork){
		"an idle network": func(*testNetwork) {},
		"connections and leaks": func(n *testNetwork) {
			l := n.Listen("127.0.0.1:80")
			n.dial(l, 30, keepOpen)
			n.dial(l, 20, testnet.Pair.EnterCloseWait)
			n.dial(l, 10, testnet.Pair.EnterFinWait2)
		},
		"IPv6": func(n *testNetwork) {
			to := netip.MustParseAddrPort("[::1]:80")
			l := n.Listen("[::1]:80")
			for range 15 {
				n.Dial(l, noAddress, to)
			}
		},
		"clients without a listener are clients": func(n *testNetwork) {
			for i := range uint16(9) { // of a dump without listeners these would be a server's
				to := netip.AddrPortFrom(server.Addr(), 60990+i)
				if _, err := n.Connect(noAddress, to, testnet.Repair); err != nil {
					n.t.Fatal(err)
				}
			}
		},
		"a listener in the range": func(n *testNetwork) {
			l := n.Listen("127.0.0.1:40001")
			for range 5 {
				n.Dial(l, noAddress, netip.MustParseAddrPort("127.0.0.1:40001"))
			}
		},
		"UDP": func(n *testNetwork) {
			for _, at := range []string{"127.0.0.1:40000", "127.0.0.2:40000", "[::1]:40000", "127.0.0.1:40001", "127.0.0.1:53"} {
				if _, err := n.BindUDP(netip.MustParseAddrPort(at)); err != nil {
					n.t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newTestNetwork(t)
			build(n)
			got, want := n.findNetwork(n.readUnprivileged(socket.Request{})), n.readWithSockDiag()
			if diff := cmp.Diff(want, got,
				cmpopts.IgnoreFields(socket.Network{}, "Inode", "Cookie", "Owner", "ListenPorts"),
				cmpopts.IgnoreFields(socket.Settings{}, "MaxTimeWait"),
				cmpopts.SortSlices(func(a, b socket.Destination) bool { return a.Port < b.Port }),
				cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty(),
			); diff != "" {
				t.Errorf("(-sockdiag +procfs)\n%s", diff)
			}
		})
	}
}

func TestTimeWaitIsReadWithItsTimer(t *testing.T) {
	n := newTestNetwork(t)
	n.dial(n.Listen("127.0.0.1:80"), 40, testnet.Pair.EnterTimeWait)
	got := n.findNetwork(n.readUnprivileged(socket.Request{}))
	if len(got.Destinations) != 1 || got.Destinations[0].States.Total() != 40 {
		t.Fatalf("%+v", got.Destinations)
	}
	if d := got.Destinations[0]; d.Reusable > d.ReusableIfAll || d.ReusableIfAll > 40 {
		t.Errorf("%d reusable, %d if all are", d.Reusable, d.ReusableIfAll)
	}
}

func TestTheGateOmitsTheTable(t *testing.T) {
	n := newTestNetwork(t)
	n.dial(n.Listen("127.0.0.1:80"), 100, keepOpen)
	got := n.findNetwork(n.readUnprivileged(socket.Request{DetailPercent: 1})) // of 28,232 ports
	if got.Detailed || got.Destinations != nil || got.States.Total() != 0 {
		t.Errorf("%+v", got)
	}
}

func TestAnAssumedRangeIsSaid(t *testing.T) {
	n := newTestNetwork(t)
	n.WriteSysctl("net.ipv4.ip_local_port_range", "20000 20999")
	n.dial(n.Listen("127.0.0.1:80"), 50, keepOpen)
	s := n.readUnprivileged(socket.Request{})
	if s.Reader.Exactness != socket.UpperBound || !strings.Contains(s.Reader.Message, "assumed") {
		t.Errorf("%+v", s.Reader)
	}
	var items, reasons []string
	for _, u := range s.Unobserved {
		items, reasons = append(items, u.Item), append(reasons, u.Reason)
	}
	for _, want := range []string{"failed connects", "port range of the network of sleep", "port ranges of"} {
		if !strings.Contains(strings.Join(items, "\n"), want) {
			t.Errorf("%q is not in %q", want, items)
		}
	}
	if want := "50 clients use ports from 20"; !strings.Contains(strings.Join(reasons, "\n"), want) {
		t.Errorf("%q is not in %q", want, reasons)
	}
}

func TestANetworkThatEndsIsOmitted(t *testing.T) {
	n := newTestNetwork(t)
	cmd := exec.Command("sleep", "infinity")
	other := netnstest.New(t)
	other.Start(cmd)
	n.findNetwork(n.readUnprivileged(socket.Request{}))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	for _, network := range n.readUnprivileged(socket.Request{}).Networks {
		if network.Owner.PID == cmd.Process.Pid {
			t.Errorf("%+v", network)
		}
	}
}
