package portwalk

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/netnstest"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

// newFullNetns returns a namespace whose 10 ports are bound, for TCP and for UDP.
func newFullNetns(t *testing.T) *netnstest.Netns {
	t.Helper()
	n := netnstest.New(t)
	n.WriteSysctl("net.ipv4.ip_local_port_range", "41000 41009")
	for range 10 {
		if _, err := n.Bind(addrPort("[::]:0")); err != nil {
			t.Fatal(err)
		}
		if _, err := n.BindUDP(addrPort("[::]:0")); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// failCalls makes calls in the current namespace that find no port.
func failCalls(count, family, kind, protocol int, call func(fd int) error) error {
	for range count {
		fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
		if err != nil {
			return err
		}
		err = call(fd)
		if unix.Close(fd); !slices.Contains([]error{unix.EADDRNOTAVAIL, unix.EADDRINUSE, unix.EAGAIN}, err) {
			return errors.Join(errors.New("the call did not fail for lack of a port"), err)
		}
	}
	return nil
}

func TestAFailedCallIsNotified(t *testing.T) {
	notified := make(chan time.Time)
	stop := make(chan struct{})
	defer close(stop)
	openReader(t, Options{Failures: true, OnFailure: func() {
		select {
		case notified <- time.Now():
		case <-stop:
		}
	}})
	n := newFullNetns(t)
	here := &unix.SockaddrInet4{Port: 80, Addr: [4]byte{127, 0, 0, 1}}
	for deadline := time.Now().Add(time.Minute); ; { // other programs may fail calls as well
		began := time.Now()
		var err error
		n.Do(func() {
			err = failCalls(100, unix.AF_INET, unix.SOCK_STREAM, 0, func(fd int) error { return unix.Connect(fd, here) })
		})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case at := <-notified:
			if at.After(began) {
				return
			}
		case <-time.After(time.Until(deadline)):
			t.Fatal("no notification after a minute")
		}
	}
}

// countFailures returns the calls that failed in n, by reason and destination.
func countFailures(s *socket.Sample, n *netnstest.Netns) map[string]uint64 {
	counts := map[string]uint64{}
	for _, f := range s.Failures {
		if f.Inode == n.Inode() {
			key := f.Reason
			if f.Destination.IsValid() {
				key = netip.AddrPortFrom(f.Destination, f.Port).String()
			}
			counts[key] += f.Count
		}
	}
	return counts
}

func TestEachKindOfFailedCallIsCountedOnce(t *testing.T) {
	const mptcp = 262
	r := openReader(t, Options{Failures: true})
	hasProbes := !slices.ContainsFunc(r.unobserved, func(u socket.Unobserved) bool { return u.Item == "failed binds and UDP" })
	n := newFullNetns(t)
	here4, here6 := &unix.SockaddrInet4{Port: 80, Addr: [4]byte{127, 0, 0, 1}}, &unix.SockaddrInet6{Port: 80, Addr: [16]byte{15: 1}}
	connect := func(to unix.Sockaddr) func(int) error { return func(fd int) error { return unix.Connect(fd, to) } }
	bind := func(to unix.Sockaddr) func(int) error { return func(fd int) error { return unix.Bind(fd, to) } }
	listen := func(fd int) error { return unix.Listen(fd, 1) }
	send := func(fd int) error { return unix.Sendto(fd, []byte("x"), 0, here4) }
	const to4, to6, inUse, udp = "127.0.0.1:80", "[::1]:80", v1alpha1.FailureAddressInUse, v1alpha1.FailureUDPAddressInUse
	before := map[string]uint64{}
	for _, c := range []struct {
		name                   string
		family, kind, protocol int
		call                   func(int) error
		want                   string
	}{
		{"connect", unix.AF_INET, unix.SOCK_STREAM, 0, connect(here4), to4},
		{"IPv6 connect", unix.AF_INET6, unix.SOCK_STREAM, 0, connect(here6), to6},
		{"MPTCP connect", unix.AF_INET, unix.SOCK_STREAM, mptcp, connect(here4), to4},
		{"MPTCP IPv6 connect", unix.AF_INET6, unix.SOCK_STREAM, mptcp, connect(here6), to6},
		{"bind", unix.AF_INET, unix.SOCK_STREAM, 0, bind(&unix.SockaddrInet4{}), inUse},
		{"IPv6 bind", unix.AF_INET6, unix.SOCK_STREAM, 0, bind(&unix.SockaddrInet6{}), inUse},
		{"listen", unix.AF_INET, unix.SOCK_STREAM, 0, listen, inUse},
		{"MPTCP bind", unix.AF_INET, unix.SOCK_STREAM, mptcp, bind(&unix.SockaddrInet4{}), inUse},
		{"UDP bind", unix.AF_INET, unix.SOCK_DGRAM, 0, bind(&unix.SockaddrInet4{}), udp},
		{"UDP connect", unix.AF_INET, unix.SOCK_DGRAM, 0, connect(here4), udp},
		{"UDP IPv6 connect", unix.AF_INET6, unix.SOCK_DGRAM, 0, connect(here6), udp},
		{"UDP sendto", unix.AF_INET, unix.SOCK_DGRAM, 0, send, udp},
	} {
		var err error
		n.Do(func() { err = failCalls(37, c.family, c.kind, c.protocol, c.call) })
		if c.protocol == mptcp && errors.Is(err, unix.EPROTONOSUPPORT) {
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		s := takeSample(t, r)
		now := countFailures(&s, n)
		want := maps.Clone(before)
		if hasProbes || c.want == to4 || c.want == to6 {
			want[c.want] += 37
		}
		if diff := cmp.Diff(want, now); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
		before = now
	}
}

func TestFailuresDoNotPassToANamespaceWithTheSameInode(t *testing.T) {
	r := openReader(t, Options{Failures: true})
	guilty, err := testnet.New()
	if err != nil {
		t.Fatal(err)
	}
	inode := guilty.Inode()
	if err := errors.Join(failWithoutPorts(guilty, 3), guilty.Close()); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		innocent := netnstest.New(t)
		if innocent.Inode() != inode {
			continue
		}
		s := takeSample(t, r)
		for _, f := range s.Failures {
			if f.Network() == findNetwork(&s, inode).ID() {
				t.Errorf("the new namespace has the failure %+v", f)
			}
		}
		if i := slices.IndexFunc(s.Failures, func(f socket.Failure) bool { return f.Inode == inode }); i < 0 || s.Failures[i].Count != 3 {
			t.Errorf("the failures of the namespace that is gone: %+v", s.Failures)
		}
		return
	}
	t.Skip("the kernel did not use the inode again")
}

// failWithoutPorts reserves every port of n and fails to connect.
func failWithoutPorts(n *testnet.Namespace, count int) (err error) {
	if err := n.WriteSysctl("net.ipv4.ip_local_reserved_ports", "1-65535"); err != nil {
		return err
	}
	n.Do(func() {
		err = failCalls(count, unix.AF_INET, unix.SOCK_STREAM, 0, func(fd int) error {
			return unix.Connect(fd, &unix.SockaddrInet4{Port: 80, Addr: [4]byte{127, 0, 0, 1}})
		})
	})
	return err
}

func TestANamespaceWithManyFailingDestinationsDoesNotHideOthers(t *testing.T) {
	r := openReader(t, Options{Failures: true})
	crawler, victim := newFullNetns(t), newFullNetns(t)
	const destinations = 2 * maxFailures
	var err error
	next := 0
	crawler.Do(func() {
		err = failCalls(destinations, unix.AF_INET, unix.SOCK_STREAM, 0, func(fd int) error {
			next++
			return unix.Connect(fd, &unix.SockaddrInet4{Port: 80, Addr: [4]byte{127, 1, byte(next >> 8), byte(next)}})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(3) {
		for range 37 {
			if _, err := victim.Connect(loopback, server); !errors.Is(err, unix.EADDRNOTAVAIL) {
				t.Fatal(err)
			}
		}
		s := takeSample(t, r)
		if got := countFailures(&s, victim)["127.0.0.1:80"]; got != 37*(i+1) {
			t.Errorf("the victim has %d failures, want %d", got, 37*(i+1))
		}
		var sum uint64
		for _, count := range countFailures(&s, crawler) {
			sum += count
		}
		if len(countFailures(&s, crawler)) > maxNetworkFailures || sum != destinations {
			t.Errorf("the crawler has %d failures to %d destinations, want %d", sum, len(countFailures(&s, crawler)), destinations)
		}
	}
}

func TestCountersOfRemovedNamespacesMakeRoom(t *testing.T) {
	r := openReader(t, Options{Failures: true})
	gone, err := testnet.New()
	if err != nil {
		t.Fatal(err)
	}
	inode := gone.Inode()
	if err := errors.Join(failWithoutPorts(gone, 3), gone.Close()); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, func() bool { // the kernel frees the namespace some time after
		takeSample(t, r)
		return r.failures.used == 0
	})
	var net walkFailNet
	var sum walkFailSum
	for it := r.objects.FailNets.Iterate(); it.Next(&net, &sum); {
		if uint64(net.Inum) == inode {
			t.Errorf("%+v is still in the map", net)
		}
	}
}

func TestOldAndManyFailuresAreDropped(t *testing.T) {
	now := time.Unix(1e9, 0)
	f := failureCounters{listed: map[walkFailKey]*socket.Failure{}}
	for i := range uint32(100) {
		f.listed[walkFailKey{Net: walkFailNet{Inum: 1}, Dst: [4]uint32{i}}] = &socket.Failure{LastAt: now.Add(-time.Duration(i) * time.Second)}
	}
	for i := range uint32(2 * maxFailures) {
		f.listed[walkFailKey{Net: walkFailNet{Inum: 10 + i}}] = &socket.Failure{LastAt: now.Add(-time.Minute)}
	}
	old := walkFailKey{Net: walkFailNet{Inum: 2}}
	f.listed[old] = &socket.Failure{LastAt: now.Add(-failureRetention - time.Second)}
	f.dropOld(now)
	ofOne := 0
	for k, failure := range f.listed {
		if k.Net.Inum == 1 {
			ofOne++
			if now.Sub(failure.LastAt) >= maxNetworkFailures*time.Second {
				t.Errorf("kept one that is %v old", now.Sub(failure.LastAt))
			}
		}
	}
	if f.listed[old] != nil || ofOne != maxNetworkFailures || len(f.listed) != maxFailures {
		t.Errorf("%d failures, %d of one network, the old one %v", len(f.listed), ofOne, f.listed[old])
	}
}

// Where nodes share a kernel, the failures of another node's networks are not this node's.
func TestOnlyFailuresOfTheNodesOwnNetworksAreListed(t *testing.T) {
	live := []walkNetRec{{Cookie: 1, Inum: 11}, {Cookie: 2, Inum: 12}}
	ours := []socket.Network{{Inode: 11, Cookie: 1}}
	for name, c := range map[string]struct {
		scope uint32
		net   walkFailNet
		want  bool
	}{
		"an own network":                                  {1, walkFailNet{Cookie: 1, Inum: 11}, true},
		"another node's":                                  {1, walkFailNet{Cookie: 2, Inum: 12}, false},
		"one that is gone, of an unknown node":            {1, walkFailNet{Cookie: 3, Inum: 13}, false},
		"one that is gone, if the machine is the node":    {0, walkFailNet{Cookie: 3, Inum: 13}, true},
		"a predecessor with the inode of an own network":  {1, walkFailNet{Cookie: 9, Inum: 11}, false},
		"an own network, if the machine is the only node": {0, walkFailNet{Cookie: 1, Inum: 11}, true},
	} {
		owned := newNetOwnership(live, ours, &walkTally{ScopeLevel: c.scope})
		if got := owned.belongsToNode(c.net); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
