package conntrack

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
	"portreeve.io/portreeve/internal/testutil/netnstest"
)

// addToSample returns a sample of n alone to which w has added its pools.
func addToSample(t *testing.T, w *Watcher, n *netnstest.Netns, at time.Time) socket.Sample {
	t.Helper()
	s := socket.Sample{Taken: at, Networks: []socket.Network{{Inode: n.Inode(), Owner: socket.Owner{Kind: socket.OwnerHost},
		Settings: socket.Settings{Range: ports.Range{First: 32768, Last: 60999}}}}}
	n.Do(func() { w.Add(&s) })
	return s
}

func newTestWatcher(t *testing.T, o Options) *Watcher {
	t.Helper()
	o.Proc = "/proc"
	w, err := NewWatcher(o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// A rule's range is not visible, but failing connections are.
func TestAPoolWhoseConnectionsFailIsReadAndFullWithoutAlways(t *testing.T) {
	s := newNATScenario(t, masqueradeTo100Ports)
	to := netip.MustParseAddrPort("10.2.0.2:80")
	l := s.server.Listen(to.String())
	for range 100 {
		s.dialThroughRouter(l, to)
	}
	w := newTestWatcher(t, Options{})
	now := time.Now()
	if got := addToSample(t, w, s.router, now); got.Networks[0].SNAT != nil || got.Unobserved != nil {
		t.Fatalf("read before anything failed: %+v", got)
	}
	s.failToConnect(to)
	now = now.Add(10 * time.Second)
	got := addToSample(t, w, s.router, now)
	want := []socket.SNATPool{newTCPPool(translated, serverAt, 80, 100, 100, tcpstate.Established)}
	if d := diffAddresses(want, got.Networks[0].SNAT); d != "" || got.Unobserved != nil {
		t.Fatalf("unobserved %v (-want +got):\n%s", got.Unobserved, d)
	}
	if p, ok := got.TightestPool(); !ok || p.Kind != socket.SNAT || p.UsedPercent() != 100 {
		t.Errorf("the fullest pool is %v at %d %%", p.Kind, p.UsedPercent())
	}
	if got.CPUTime <= 0 {
		t.Error("reading the table cost nothing")
	}
}

func TestATableTooSmallForAFullPoolIsNotRead(t *testing.T) {
	s := newNATScenario(t, masqueradeTo100Ports)
	to := netip.MustParseAddrPort("10.2.0.2:80")
	l := s.server.Listen(to.String())
	s.dialThroughRouter(l, to)
	if got := addToSample(t, newTestWatcher(t, Options{Always: true, GatePercent: 25}), s.router, time.Now()); got.Networks[0].SNAT != nil {
		t.Errorf("%+v", got)
	}
	if got := addToSample(t, newTestWatcher(t, Options{Always: true}), s.router, time.Now()); len(got.Networks[0].SNAT) != 1 {
		t.Errorf("%+v, want a pool without a gate", got)
	}
}

func TestAnExpensiveTableIsReadLessOften(t *testing.T) {
	s := newNATScenario(t, masqueradeTo100Ports)
	to := netip.MustParseAddrPort("10.2.0.2:80")
	l := s.server.Listen(to.String())
	s.dialThroughRouter(l, to)
	w := newTestWatcher(t, Options{Always: true, SharePercent: 1})
	ports := func(at time.Time) int {
		got := addToSample(t, w, s.router, at)
		if len(got.Networks[0].SNAT) != 1 {
			t.Fatalf("%+v", got)
		}
		return got.Networks[0].SNAT[0].InUse
	}
	first := time.Now()
	if n := ports(first); n != 1 {
		t.Fatalf("%d ports, want 1", n)
	}
	wait := w.nextRead.Sub(first)
	s.dialThroughRouter(l, to)
	if n := ports(first.Add(wait - 1)); wait <= 0 || n != 1 {
		t.Errorf("%d ports within %v, want 1, from the last read", n, wait)
	}
	if n := ports(first.Add(wait)); n != 2 {
		t.Errorf("%d ports after %v, want 2", n, wait)
	}
}

func TestAnAgentInAnotherNamespaceReportsWhatItNeeds(t *testing.T) {
	pod, node := netnstest.New(t), netnstest.New(t)
	sample := func(w *Watcher, failed uint64, at time.Time) socket.Sample {
		s := socket.Sample{Taken: at, Networks: []socket.Network{
			{Inode: pod.Inode(), Owner: socket.Owner{Kind: socket.OwnerPod}},
			{Inode: node.Inode(), Owner: socket.Owner{Kind: socket.OwnerHost},
				Counters: &socket.Counters{Conntrack: &socket.ConntrackCounters{InsertFailed: failed}}},
		}}
		pod.Do(func() { w.Add(&s) })
		return s
	}
	isReported := func(s socket.Sample) bool {
		return len(s.Unobserved) == 1 && s.Unobserved[0].Item == itemNodePools && strings.Contains(s.Unobserved[0].Reason, "hostNetwork and NET_ADMIN")
	}
	now := time.Now()
	w := newTestWatcher(t, Options{})
	if s := sample(w, 7, now); s.Unobserved != nil {
		t.Errorf("without Always and without failures: %v", s.Unobserved)
	}
	if s := sample(w, 8, now.Add(time.Second)); !isReported(s) {
		t.Errorf("after insert_failed increased: %v", s.Unobserved)
	}
	if s := sample(newTestWatcher(t, Options{Always: true}), 7, now); !isReported(s) {
		t.Errorf("with Always: %v", s.Unobserved)
	}
}

func TestANamespaceThatWasNotReadIsUnobserved(t *testing.T) {
	n := netnstest.New(t)
	for always, want := range map[bool]int{true: 1, false: 0} {
		s := socket.Sample{Networks: []socket.Network{{Inode: 1}}}
		w := newTestWatcher(t, Options{Always: always})
		n.Do(func() { w.Add(&s) })
		if len(s.Unobserved) != want {
			t.Errorf("always %v: %v", always, s.Unobserved)
		}
	}
}

// Reading the table would make the kernel load conntrack.
func TestConntrackThatIsNotInUseIsNotRead(t *testing.T) {
	proc := t.TempDir()
	var s socket.Sample
	w := newTestWatcher(t, Options{Always: true})
	if err := os.Symlink("/proc/thread-self", proc+"/thread-self"); err != nil {
		t.Fatal(err)
	}
	n := netnstest.New(t)
	s.Networks = []socket.Network{{Inode: n.Inode()}}
	w.Proc = proc // has no sys/net/netfilter
	n.Do(func() { w.Add(&s) })
	if s.Networks[0].SNAT != nil || s.Unobserved != nil || s.CPUTime != 0 {
		t.Errorf("%+v", s)
	}
}
