package evidence

import (
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/netnstest"
)

var parse = netip.MustParseAddrPort

// readEvidence reads the evidence inside n, of which this process is the only one.
func readEvidence(t *testing.T, n *netnstest.Netns, network socket.Network) socket.Evidence {
	t.Helper()
	network.Inode = n.Inode()
	r := networkReader{network: &network, readsPrivileged: true,
		processes: &processList{proc: "/proc", byNetwork: map[uint64][]int{network.Inode: {os.Getpid()}}}}
	var err error
	n.Do(func() { err = r.read() })
	if err != nil {
		t.Fatal(err)
	}
	return r.out
}

func newNetwork(first, last uint16) socket.Network {
	return socket.Network{Detailed: true, Settings: socket.Settings{Range: ports.Range{First: first, Last: last}}}
}

// newSelf returns this process, as procfs shows it.
func newSelf(t *testing.T) socket.Process {
	t.Helper()
	l := processList{proc: "/proc"}
	return l.readProcess(os.Getpid())
}

func TestAFullAcceptQueueIsSeen(t *testing.T) {
	n := netnstest.New(t)
	n.WriteSysctl("net.core.somaxconn", "2")
	n.Listen("127.0.0.1:8080")
	n.Listen("127.0.0.1:40000")
	for range 3 { // the kernel accepts one more than the limit
		if _, err := n.Connect(parse("127.0.0.1:0"), parse("127.0.0.1:8080")); err != nil {
			t.Fatal(err)
		}
	}
	got := readEvidence(t, n, newNetwork(32768, 60999))
	want := []socket.AcceptQueue{
		{Listener: parse("127.0.0.1:8080"), Length: 3, Limit: 2, Process: newSelf(t)},
		{Listener: parse("127.0.0.1:40000"), Limit: 2},
	}
	compare := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	if diff := cmp.Diff(want, got.AcceptQueues, compare); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]netip.AddrPort{parse("127.0.0.1:40000")}, got.Listeners, compare); diff != "" {
		t.Errorf("listeners in the range: %s", diff)
	}
}

func TestSocketsInCloseWaitHaveTheirProcess(t *testing.T) {
	n := netnstest.New(t)
	l := n.Listen("127.0.0.1:8888")
	const count = socket.MinCloseWait
	for i := range count {
		p := n.Dial(l, netip.AddrPort{}, parse("127.0.0.1:8888"))
		if err := p.EnterFinWait2(); err != nil {
			t.Fatal(i, err)
		}
	}
	n.AwaitStates(tcpstate.Counts{tcpstate.CloseWait: count, tcpstate.FinWait2: count, tcpstate.Listen: 1})
	network := newNetwork(32768, 60999)
	network.States[tcpstate.CloseWait] = count
	got := readEvidence(t, n, network).CloseWait
	want := []socket.CloseWaitGroup{{Process: newSelf(t), Listener: 8888, Sockets: count, Peers: 1}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if !got[0].IsLeak() {
		t.Error("not a leak")
	}
}

func TestPortsOfOthersAreSeen(t *testing.T) {
	n := netnstest.New(t)
	n.Listen("127.0.0.1:443")
	n.Listen("127.0.0.1:700") // a server on a privileged port takes no source port
	n.WriteSysctl("net.ipv4.ip_local_reserved_ports", "8080,9100-9101")
	for _, port := range []int{665, 1023, 1024, 9090, 9091, 10250} {
		if _, err := n.BindConnect(parse(fmt.Sprintf("127.0.0.1:%d", port)), parse("127.0.0.1:443")); err != nil {
			t.Fatal(port, err)
		}
	}
	got := readEvidence(t, n, newNetwork(1025, 65000))
	if got.Privileged == nil || *got.Privileged != 2 {
		t.Errorf("privileged ports: %v, want 2", got.Privileged)
	}
	want := []socket.HeldPort{
		{Port: 9090, Peer: parse("127.0.0.1:443"), Process: newSelf(t)}, {Port: 10250, Peer: parse("127.0.0.1:443"), Process: newSelf(t)},
	}
	if diff := cmp.Diff(want, got.HeldPorts, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if got.Reserved == nil || got.Reserved.String() != "8080,9100-9101" {
		t.Errorf("reserved ports: %v", got.Reserved)
	}
}

func TestIPv6IsOffWithoutAnAddress(t *testing.T) {
	n := netnstest.New(t)
	if off := readEvidence(t, n, newNetwork(32768, 60999)).IsIPv6Off; off == nil || *off {
		t.Errorf("IPv6 is off: %v, want false", off)
	}
	n.WriteSysctl("net.ipv6.conf.all.disable_ipv6", "1")
	if off := readEvidence(t, n, newNetwork(32768, 60999)).IsIPv6Off; off == nil || !*off {
		t.Errorf("IPv6 is off: %v, want true", off)
	}
}

func TestTheAddressOfBoundConnectionsIsSeen(t *testing.T) {
	n := netnstest.New(t)
	n.Listen("127.0.0.1:80")
	for range 30 {
		if _, err := n.BindConnect(parse("127.0.0.6:0"), parse("127.0.0.1:80")); err != nil {
			t.Fatal(err)
		}
	}
	network := newNetwork(32768, 32867)
	n.WriteSysctl("net.ipv4.ip_local_port_range", "32768 32867")
	for range 5 {
		if _, err := n.BindConnect(parse("127.0.0.6:0"), parse("127.0.0.1:80")); err != nil {
			t.Fatal(err)
		}
	}
	network.Skipped = 30
	if got := readEvidence(t, n, network).BoundAddress; got != netip.MustParseAddr("127.0.0.6") {
		t.Errorf("the address is %v, want 127.0.0.6", got)
	}
}

// The collector reads the network of this process, and names what it could not enter.
func TestTheCollectorReadsTheOwnNetwork(t *testing.T) {
	own, err := readInode("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	settings := socket.Settings{Range: ports.Range{First: 32768, Last: 60999}}
	s := socket.Sample{Networks: []socket.Network{{Inode: own, Settings: settings}, {Inode: 1, Settings: settings}}}
	NewCollector("/proc", 0).AddEvidence(&s)
	if s.Networks[0].Evidence.AcceptQueues == nil || s.FileUsage == nil {
		t.Errorf("nothing was read: %+v, %v", s.Networks[0].Evidence, s.FileUsage)
	}
	if s.Networks[1].Evidence.AcceptQueues != nil || len(s.Unobserved) != 1 || s.Unobserved[0].Item != "accept queues of 1 networks" {
		t.Errorf("a network without a process: %v", s.Unobserved)
	}
}
