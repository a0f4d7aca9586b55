package pods_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/testnet"
)

func labeled(name, app string) podspecs.Pod {
	return podspecs.Pod{Namespace: "shop", Name: name, Labels: map[string]string{"app": app}}
}

func to(app string) func(*v1alpha1.Setting) {
	return func(s *v1alpha1.Setting) {
		s.PodSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	}
}

func TestSettingsAreHeldInPodsAndGivenBack(t *testing.T) {
	n := newNode(t)
	api, db := n.start(labeled("api", "api")), n.start(labeled("db", "db"))
	was := api.read(fin)
	a := n.agent()
	a.want(inPods(fin, "17", to("api")), inPods(rangeKey, "20000 65001", to("api")))
	a.until("both settings in the pod", func() bool { return a.held(rangeKey) == 1 && a.held(fin) == 1 })
	if got := api.read(fin) + ", " + api.read(rangeKey); got != "17, 20000 65001" {
		t.Errorf("the pod has %s", got)
	}
	if got := db.read(fin); got != was {
		t.Errorf("a pod that is not selected has %s, not %s", got, was)
	}
	if s := a.status(fin + "@pods"); *s.PodsApplied != 1 || *s.PodsRefused != 0 || *s.Original != was || *s.Current != "17" {
		t.Errorf("its status is %+v", s)
	}

	later := n.start(labeled("api-2", "api"))
	a.until("the new pod", func() bool { return later.read(fin) == "17" && a.held(fin) == 2 })

	n.learn(podspecs.Pod{UID: api.UID, Namespace: "shop", Name: "api", Labels: map[string]string{"app": "edited"}})
	a.until("the pod that is selected no more", func() bool { return api.read(fin) == was })
	if got := api.read(rangeKey); got != "32768 60999" {
		t.Errorf("its range is %s", got)
	}

	later.WriteSysctl(fin, "99") // somebody else's wish, which is what there is to go back to then
	a.until("a repair", func() bool { return later.read(fin) == "17" })

	a.want()
	a.until("everything given back", func() bool { return later.read(fin)+" "+later.read(rangeKey) == "99 32768 60999" })
	a.want(inPods(fin, "18"))
	a.until("another tuning of all pods", func() bool { return api.read(fin)+db.read(fin)+later.read(fin) == "181818" })
}

func TestNobodyGivesBackByAccident(t *testing.T) {
	n := newNode(t)
	api := n.start(labeled("api", "api"))
	a := n.agent()
	a.want(inPods(fin, "17", to("api")))
	a.until("the setting", func() bool { return api.read(fin) == "17" })
	a.stop()
	n.silent = true
	n.forget(api)
	a = n.agent()
	a.Poke()
	a.want(inPods(fin, "17", to("api")))
	a.until("that the pods are not known", func() bool {
		return a.status(fin+"@pods").Message == "the pods of this node are not known yet: the API server has not answered"
	})
	n.mu.Lock()
	n.silent = false
	n.mu.Unlock()
	a.until("that no pod is known", func() bool { return a.status(fin+"@pods").Message == "no pod on this node is selected" })
	a.want(inPods(fin, "17", func(s *v1alpha1.Setting) {
		s.PodSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}
	}))
	a.until("the selector that can't be read", func() bool { return a.status(fin+"@pods").State == v1alpha1.SettingFailed })
	if got := api.read(fin); got != "17" {
		t.Errorf("the pod has %s: it was given back", got)
	}
	a.want() // whoever the pod is: nobody wants anything
	a.until("the original", func() bool { return api.read(fin) == "60" })
}

func TestWhatAPodCannotHaveIsRefusedAndTheRestIsHeld(t *testing.T) {
	n := newNode(t)
	own := labeled("own", "api")
	own.Sysctls = []string{fin}
	api, chooses := n.start(labeled("api", "api")), n.start(own)
	chooses.WriteSysctl(fin, "45")
	a := n.agent()
	a.want(inPods("net.netfilter.nf_conntrack_max", "300000"), inPods(fin, "17"), inPods(reuse, "1"))
	a.until("the settings", func() bool { return a.held(reuse) == 2 })
	if s := a.status("net.netfilter.nf_conntrack_max@pods"); s.State != v1alpha1.SettingRefused || *s.PodsRefused != 2 {
		t.Errorf("nf_conntrack_max in pods is %+v", s)
	}
	s := a.status(fin + "@pods")
	if s.State != v1alpha1.SettingApplied || *s.PodsApplied != 1 || *s.PodsRefused != 1 ||
		s.Message != "refused in shop/own: the pod sets it itself (securityContext.sysctls), and that stays" {
		t.Errorf("%s: %s", s.State, s.Message)
	}
	if got := api.read(fin) + " " + chooses.read(fin) + " " + chooses.read(reuse); got != "17 45 1" {
		t.Errorf("the pods have %s", got)
	}
}

func TestANewPodIsNotLeftToTheNextTick(t *testing.T) {
	n := newNode(t)
	n.start(labeled("api", "api"))
	a := n.agent()
	a.want(inPods(fin, "17"))
	a.until("the setting", func() bool { return a.held(fin) == 1 })
	n.must(os.WriteFile(filepath.Join(n.root, "stale"), nil, 0o444)) // no namespace's, ever
	later := n.start(labeled("api-2", "api"))
	for until := time.Now().Add(20 * time.Second); later.read(fin) != "17"; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("without a tick it has %s", later.read(fin))
		}
	}
}

func TestTheSameAgainWritesNothing(t *testing.T) {
	n := newNode(t)
	n.start(labeled("api", "api"))
	a := n.agent()
	again := func() { a.want(inPods(rangeKey, "20000 65001"), inPods(fin, "17"), inPods(reserveKey, "30000")) }
	again()
	a.until("the settings", func() bool { return a.held(rangeKey)+a.held(fin)+a.held(reserveKey) == 3 })
	journal := func() time.Time {
		st, err := os.Stat(filepath.Join(n.state, "journal.json"))
		n.must(err)
		return st.ModTime()
	}
	writes, written := n.writes.Load(), journal()
	for range 10 {
		again()
		<-a.cycles
	}
	a.stop()
	if n.writes.Load() != writes || journal() != written {
		t.Errorf("%d writes to the kernel; the journal of %v is of %v", n.writes.Load()-writes, written, journal())
	}
}

func TestUnderPressureOnly(t *testing.T) {
	n := newNode(t)
	api := n.start(labeled("api", "api"))
	a := n.agentEvery(time.Hour) // changes alone make it look
	a.Level(v1alpha1.LevelNormal)
	a.want(inPods(fin, "17", func(s *v1alpha1.Setting) { s.Activation = v1alpha1.ActivationUnderPressure }))
	a.until("that it stands by", func() bool { return a.status(fin+"@pods").State == v1alpha1.SettingStandby })
	if got := api.read(fin); got != "60" {
		t.Errorf("without pressure the pod has %s", got)
	}
	a.Level(v1alpha1.LevelWarning)
	a.until("the setting", func() bool { return a.held(fin) == 1 && api.read(fin) == "17" })
	a.Level(v1alpha1.LevelNormal)
	a.until("the original", func() bool { return api.read(fin) == "60" })
}

// TestTheAppAlwaysGetsItsPort has a sidecar that takes every port which connect() will
// give it, before the app listens on a port of the wider range.
func TestTheAppAlwaysGetsItsPort(t *testing.T) {
	const first, last = 32000, 32999 // of which 32768 on was there before
	dialed := netip.MustParseAddrPort("127.0.0.9:80")
	for name, test := range map[string]struct {
		ports []int // that the pod names
		want  error
	}{
		"its port is named": {[]int{32123, 32900}, nil},
		"without the name it is taken, so there is something to protect": {nil, unix.EADDRINUSE},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			spec := labeled("api", "api")
			spec.Ports = test.ports
			api := n.start(spec)
			a := n.agent()
			a.want(inPods(rangeKey, fmt.Sprintf("%d %d", first, last)))
			a.until("the wider range", func() bool { return a.held(rangeKey) == 1 })
			for n, err := 0, error(nil); err == nil; n++ { // the sidecar: until there is no port left
				if _, err = api.Connect(netip.AddrPort{}, dialed, testnet.Repair); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
					t.Fatalf("connection %d: %v", n, err)
				}
			}
			for _, port := range []uint16{32123, 32900} {
				_, err := api.Netns.Namespace.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), port))
				if !errors.Is(err, test.want) {
					t.Errorf("listen on %d: %v, want %v", port, err, test.want)
				}
			}
		})
	}
}

func TestWhatListensInAPodKeepsItsPort(t *testing.T) {
	n := newNode(t)
	api := n.start(labeled("api", "api"))
	api.WriteSysctl(reserveKey, "25000")
	now := api.Listen("127.0.0.1:21000")
	a := n.agent()
	a.want(inPods(rangeKey, "20000 65001"))
	a.until("the wider range", func() bool { return a.held(rangeKey) == 1 })
	if got := api.read(reserveKey); got != "21000,25000" {
		t.Errorf("reserved are %s", got)
	}
	if err := now.Close(); err != nil {
		t.Fatal(err)
	}
	later := api.Listen("127.0.0.1:22000") // which restarts in a moment
	a.until("the port of the later one", func() bool { return api.read(reserveKey) == "21000,22000,25000" })
	if err := later.Close(); err != nil {
		t.Fatal(err)
	}
	a.want()
	a.until("what was reserved before", func() bool { return api.read(reserveKey) == "25000" && api.read(rangeKey) == "32768 60999" })
}

// reuse starts a pod whose namespace has the inode of old's, which has ended.
func (n *node) reuse(old *pod, spec podspecs.Pod) *pod {
	n.tb.Helper()
	for range 500 { // until the kernel's RCU has let go of the old one
		p := n.start(spec)
		if p.inode == old.inode {
			return p
		}
		p.end()
		n.forget(p)
	}
	n.tb.Skipf("net:[%d] was not used again", old.inode)
	return nil
}

func TestAnInodeThatIsUsedAgainIsNotTheOldNamespace(t *testing.T) {
	n := newNode(t)
	old := n.start(labeled("old", "api"))
	a := n.agent()
	a.want(inPods(fin, "17", to("api")))
	a.until("the setting", func() bool { return a.held(fin) == 1 })
	a.stop() // so that nobody sees it go
	n.forget(old)
	old.end()
	reused := n.reuse(old, labeled("new", "web"))
	reused.WriteSysctl(fin, "17") // what was written to the old one
	a = n.agent()
	a.want()
	a.until("that the old one is forgotten", func() bool { return n.entries() == 0 })
	if got := reused.read(fin); got != "17" {
		t.Errorf("the new namespace was given the old one's original: %s", got)
	}
}

// TestNothingIsWrittenWhereAnotherNamespaceIsByNow tells the agent what was true a
// moment ago: the inode belongs to a pod, which is no more.
func TestNothingIsWrittenWhereAnotherNamespaceIsByNow(t *testing.T) {
	n := newNode(t)
	old := n.start(labeled("old", "api"))
	before := n.owners(1)
	old.end()
	reused := n.reuse(old, labeled("new", "web"))
	n.mislead(before)
	a := n.agent()
	a.want(inPods(fin, "17"))
	<-a.cycles // the beginning of the first, then of one after it
	a.Poke()
	<-a.cycles
	if got := reused.read(fin); got != "60" {
		t.Errorf("the new namespace has %s", got)
	}
	if entries := n.entries(); entries != 0 {
		t.Errorf("the journal has %d entries", entries)
	}
	n.mislead(nil)
	a.until("the setting in the new pod", func() bool { return reused.read(fin) == "17" })
}

// TestWhoSeesNoProcessesForgetsNothing is an agent without portwalk that may not see
// whose namespaces are whose.
func TestWhoSeesNoProcessesForgetsNothing(t *testing.T) {
	n := newNode(t)
	api, gone := n.start(labeled("api", "api")), n.start(labeled("gone", "api"))
	a := n.agent()
	a.want(inPods(fin, "17"))
	a.until("the settings", func() bool { return a.held(fin) == 2 })
	a.stop()
	gone.end()
	n.mislead([]netns.Namespace{})
	a = n.agent()
	a.want(inPods(fin, "17"))
	a.until("that the pod which ended is forgotten", func() bool { return n.entries() == 1 })
	a.want()
	<-a.cycles
	a.Poke()
	<-a.cycles
	if n.entries() != 1 || api.read(fin) != "17" {
		t.Errorf("the journal has %d entries, the pod has %s", n.entries(), api.read(fin))
	}
	n.mislead(nil)
	a.until("the original", func() bool { return api.read(fin) == "60" && n.entries() == 0 })
}
