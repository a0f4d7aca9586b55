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

// look is what w adds to a sample of n alone.
func look(t *testing.T, w *Watch, n *netnstest.Netns, at time.Time) socket.Sample {
	t.Helper()
	s := socket.Sample{Taken: at, Networks: []socket.Network{{Inode: n.Inode(), Owner: socket.Owner{Kind: socket.OwnerHost},
		Settings: socket.Settings{Range: ports.Range{First: 32768, Last: 60999}}}}}
	n.Do(func() { w.Add(&s) })
	return s
}

func newWatch(t *testing.T, o Options) *Watch {
	t.Helper()
	o.Proc = "/proc"
	w, err := NewWatch(o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// A rule's range can't be seen; that connections fail can.
func TestAPoolThatFailsIsReadAndFullWithoutBeingAskedFor(t *testing.T) {
	s := newScene(t, hundred)
	to := netip.MustParseAddrPort("10.2.0.2:80")
	l := s.server.Listen(to.String())
	for range 100 {
		s.dial(l, to)
	}
	w := newWatch(t, Options{})
	now := time.Now()
	if got := look(t, w, s.router, now); got.Networks[0].SNAT != nil || got.Unobserved != nil {
		t.Fatalf("read before anything failed: %+v", got)
	}
	s.fails(to)
	now = now.Add(10 * time.Second)
	got := look(t, w, s.router, now)
	want := []socket.SNATPool{tcpPool(translated, serverAt, 80, 100, 100, tcpstate.Established)}
	if d := diff(want, got.Networks[0].SNAT); d != "" || got.Unobserved != nil {
		t.Fatalf("unseen %v (-want +got):\n%s", got.Unobserved, d)
	}
	if p, ok := got.Tightest(); !ok || p.Kind != socket.SNAT || p.UsedPercent() != 100 {
		t.Errorf("the tightest pool is %v at %d %%", p.Kind, p.UsedPercent())
	}
	if got.Cost <= 0 {
		t.Error("reading the table cost nothing")
	}
}

func TestATableThatIsTooSmallForATightPoolIsLeftAlone(t *testing.T) {
	s := newScene(t, hundred)
	to := netip.MustParseAddrPort("10.2.0.2:80")
	l := s.server.Listen(to.String())
	s.dial(l, to)
	if got := look(t, newWatch(t, Options{Always: true, GatePercent: 25}), s.router, time.Now()); got.Networks[0].SNAT != nil {
		t.Errorf("%+v", got)
	}
	if got := look(t, newWatch(t, Options{Always: true}), s.router, time.Now()); len(got.Networks[0].SNAT) != 1 {
		t.Errorf("%+v, want a pool where there is no gate", got)
	}
}

func TestADearTableIsReadLessOften(t *testing.T) {
	s := newScene(t, hundred)
	to := netip.MustParseAddrPort("10.2.0.2:80")
	l := s.server.Listen(to.String())
	s.dial(l, to)
	w := newWatch(t, Options{Always: true, SharePercent: 1})
	ports := func(at time.Time) int {
		got := look(t, w, s.router, at)
		if len(got.Networks[0].SNAT) != 1 {
			t.Fatalf("%+v", got)
		}
		return got.Networks[0].SNAT[0].Ports
	}
	first := time.Now()
	if n := ports(first); n != 1 {
		t.Fatalf("%d ports, want 1", n)
	}
	wait := w.due.Sub(first)
	s.dial(l, to)
	if n := ports(first.Add(wait - 1)); wait <= 0 || n != 1 {
		t.Errorf("%d ports within %v, want 1, as last read", n, wait)
	}
	if n := ports(first.Add(wait)); n != 2 {
		t.Errorf("%d ports after %v, want 2", n, wait)
	}
}

func TestAnAgentInAnotherNetworkSaysWhatIsMissing(t *testing.T) {
	pod, node := netnstest.New(t), netnstest.New(t)
	sample := func(w *Watch, failed uint64, at time.Time) socket.Sample {
		s := socket.Sample{Taken: at, Networks: []socket.Network{
			{Inode: pod.Inode(), Owner: socket.Owner{Kind: socket.OwnerPod}},
			{Inode: node.Inode(), Owner: socket.Owner{Kind: socket.OwnerHost},
				Counters: &socket.Counters{Conntrack: &socket.ConntrackCounters{InsertFailed: failed}}},
		}}
		pod.Do(func() { w.Add(&s) })
		return s
	}
	says := func(s socket.Sample) bool {
		return len(s.Unobserved) == 1 && s.Unobserved[0].Item == whatNode && strings.Contains(s.Unobserved[0].Reason, "hostNetwork and NET_ADMIN")
	}
	now := time.Now()
	w := newWatch(t, Options{})
	if s := sample(w, 7, now); s.Unobserved != nil {
		t.Errorf("nothing asked for, nothing fails: %v", s.Unobserved)
	}
	if s := sample(w, 8, now.Add(time.Second)); !says(s) {
		t.Errorf("insert_failed has risen: %v", s.Unobserved)
	}
	if s := sample(newWatch(t, Options{Always: true}), 7, now); !says(s) {
		t.Errorf("asked for: %v", s.Unobserved)
	}
}

func TestANetworkThatWasNotReadIsUnseen(t *testing.T) {
	n := netnstest.New(t)
	for always, want := range map[bool]int{true: 1, false: 0} {
		s := socket.Sample{Networks: []socket.Network{{Inode: 1}}}
		w := newWatch(t, Options{Always: always})
		n.Do(func() { w.Add(&s) })
		if len(s.Unobserved) != want {
			t.Errorf("always %v: %v", always, s.Unobserved)
		}
	}
}

// A kernel without conntrack has nothing to ask for, and is not made to load it.
func TestConntrackThatIsNotInUseIsNotAsked(t *testing.T) {
	proc := t.TempDir()
	var s socket.Sample
	w := newWatch(t, Options{Always: true})
	if err := os.Symlink("/proc/thread-self", proc+"/thread-self"); err != nil {
		t.Fatal(err)
	}
	n := netnstest.New(t)
	s.Networks = []socket.Network{{Inode: n.Inode()}}
	w.Proc = proc // has no sys/net/netfilter
	n.Do(func() { w.Add(&s) })
	if s.Networks[0].SNAT != nil || s.Unobserved != nil || s.Cost != 0 {
		t.Errorf("%+v", s)
	}
}
