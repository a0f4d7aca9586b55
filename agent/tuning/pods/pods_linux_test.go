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

func TestSettingsAreEnforcedInPodsAndRestored(t *testing.T) {
	n := newNode(t)
	api, db := n.startPod(labeled("api", "api")), n.startPod(labeled("db", "db"))
	was := api.readValue(fin)
	a := n.startAgent()
	a.setSpec(inPods(fin, "17", to("api")), inPods(rangeKey, "20000 65001", to("api")))
	a.waitUntil("both settings in the pod", func() bool { return a.countApplied(rangeKey) == 1 && a.countApplied(fin) == 1 })
	if got := api.readValue(fin) + ", " + api.readValue(rangeKey); got != "17, 20000 65001" {
		t.Errorf("the pod has %s", got)
	}
	if got := db.readValue(fin); got != was {
		t.Errorf("a pod that is not selected has %s, not %s", got, was)
	}
	if s := a.findStatus(fin + "@pods"); *s.PodsApplied != 1 || *s.PodsRefused != 0 || *s.Original != was || *s.Current != "17" {
		t.Errorf("its status is %+v", s)
	}

	later := n.startPod(labeled("api-2", "api"))
	a.waitUntil("the new pod", func() bool { return later.readValue(fin) == "17" && a.countApplied(fin) == 2 })

	n.addPod(podspecs.Pod{UID: api.UID, Namespace: "shop", Name: "api", Labels: map[string]string{"app": "edited"}})
	a.waitUntil("the pod that is selected no more", func() bool { return api.readValue(fin) == was })
	if got := api.readValue(rangeKey); got != "32768 60999" {
		t.Errorf("its range is %s", got)
	}

	later.WriteSysctl(fin, "99") // a value of another program, which becomes the original
	a.waitUntil("a repair", func() bool { return later.readValue(fin) == "17" })

	a.setSpec()
	a.waitUntil("everything restored", func() bool { return later.readValue(fin)+" "+later.readValue(rangeKey) == "99 32768 60999" })
	a.setSpec(inPods(fin, "18"))
	a.waitUntil("another tuning of all pods", func() bool { return api.readValue(fin)+db.readValue(fin)+later.readValue(fin) == "181818" })
}

func TestSettingsAreNotRestoredWhilePodsAreUnknown(t *testing.T) {
	n := newNode(t)
	api := n.startPod(labeled("api", "api"))
	a := n.startAgent()
	a.setSpec(inPods(fin, "17", to("api")))
	a.waitUntil("the setting", func() bool { return api.readValue(fin) == "17" })
	a.stop()
	n.silent = true
	n.removePod(api)
	a = n.startAgent()
	a.RequestCycle()
	a.setSpec(inPods(fin, "17", to("api")))
	a.waitUntil("that the pods are not known", func() bool {
		return a.findStatus(fin+"@pods").Message == "pods of this node not known yet (waiting for the API server)"
	})
	n.mu.Lock()
	n.silent = false
	n.mu.Unlock()
	a.waitUntil("that no pod is known", func() bool { return a.findStatus(fin+"@pods").Message == "no pods selected on this node" })
	a.setSpec(inPods(fin, "17", func(s *v1alpha1.Setting) {
		s.PodSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}
	}))
	a.waitUntil("the selector that can't be read", func() bool { return a.findStatus(fin+"@pods").State == v1alpha1.SettingFailed })
	if got := api.readValue(fin); got != "17" {
		t.Errorf("the pod has %s: it was restored", got)
	}
	a.setSpec() // settings are removed, also from unknown pods
	a.waitUntil("the original", func() bool { return api.readValue(fin) == "60" })
}

func TestUnsupportedSettingsOfAPodAreRefusedAndTheRestIsEnforced(t *testing.T) {
	n := newNode(t)
	own := labeled("own", "api")
	own.Sysctls = []string{fin}
	api, chooses := n.startPod(labeled("api", "api")), n.startPod(own)
	chooses.WriteSysctl(fin, "45")
	a := n.startAgent()
	a.setSpec(inPods("net.netfilter.nf_conntrack_max", "300000"), inPods(fin, "17"), inPods(reuse, "1"))
	a.waitUntil("the settings", func() bool { return a.countApplied(reuse) == 2 })
	if s := a.findStatus("net.netfilter.nf_conntrack_max@pods"); s.State != v1alpha1.SettingRefused || *s.PodsRefused != 2 {
		t.Errorf("nf_conntrack_max in pods is %+v", s)
	}
	s := a.findStatus(fin + "@pods")
	if s.State != v1alpha1.SettingApplied || *s.PodsApplied != 1 || *s.PodsRefused != 1 ||
		s.Message != "refused in shop/own: the pod sets it itself (securityContext.sysctls), which takes precedence" {
		t.Errorf("%s: %s", s.State, s.Message)
	}
	if got := api.readValue(fin) + " " + chooses.readValue(fin) + " " + chooses.readValue(reuse); got != "17 45 1" {
		t.Errorf("the pods have %s", got)
	}
}

func TestANewPodIsNotLeftToTheNextTick(t *testing.T) {
	n := newNode(t)
	n.startPod(labeled("api", "api"))
	a := n.startAgent()
	a.setSpec(inPods(fin, "17"))
	a.waitUntil("the setting", func() bool { return a.countApplied(fin) == 1 })
	n.checkError(os.WriteFile(filepath.Join(n.root, "stale"), nil, 0o444)) // no namespace's, ever
	later := n.startPod(labeled("api-2", "api"))
	for until := time.Now().Add(20 * time.Second); later.readValue(fin) != "17"; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("without a tick it has %s", later.readValue(fin))
		}
	}
}

func TestTheSameAgainWritesNothing(t *testing.T) {
	n := newNode(t)
	n.startPod(labeled("api", "api"))
	a := n.startAgent()
	again := func() { a.setSpec(inPods(rangeKey, "20000 65001"), inPods(fin, "17"), inPods(reserveKey, "30000")) }
	again()
	a.waitUntil("the settings", func() bool { return a.countApplied(rangeKey)+a.countApplied(fin)+a.countApplied(reserveKey) == 3 })
	journal := func() time.Time {
		st, err := os.Stat(filepath.Join(n.state, "journal.json"))
		n.checkError(err)
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

func TestSettingsAreEnforcedUnderPressureOnly(t *testing.T) {
	n := newNode(t)
	api := n.startPod(labeled("api", "api"))
	a := n.startAgentEvery(time.Hour) // changes alone make it look
	a.SetLevel(v1alpha1.LevelNormal)
	a.setSpec(inPods(fin, "17", func(s *v1alpha1.Setting) { s.Activation = v1alpha1.ActivationUnderPressure }))
	a.waitUntil("that it stands by", func() bool { return a.findStatus(fin+"@pods").State == v1alpha1.SettingStandby })
	if got := api.readValue(fin); got != "60" {
		t.Errorf("without pressure the pod has %s", got)
	}
	a.SetLevel(v1alpha1.LevelWarning)
	a.waitUntil("the setting", func() bool { return a.countApplied(fin) == 1 && api.readValue(fin) == "17" })
	a.SetLevel(v1alpha1.LevelNormal)
	a.waitUntil("the original", func() bool { return api.readValue(fin) == "60" })
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
			api := n.startPod(spec)
			a := n.startAgent()
			a.setSpec(inPods(rangeKey, fmt.Sprintf("%d %d", first, last)))
			a.waitUntil("the wider range", func() bool { return a.countApplied(rangeKey) == 1 })
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
	api := n.startPod(labeled("api", "api"))
	api.WriteSysctl(reserveKey, "25000")
	now := api.Listen("127.0.0.1:21000")
	a := n.startAgent()
	a.setSpec(inPods(rangeKey, "20000 65001"))
	a.waitUntil("the wider range", func() bool { return a.countApplied(rangeKey) == 1 })
	if got := api.readValue(reserveKey); got != "21000,25000" {
		t.Errorf("reserved are %s", got)
	}
	if err := now.Close(); err != nil {
		t.Fatal(err)
	}
	later := api.Listen("127.0.0.1:22000") // which restarts in a moment
	a.waitUntil("the port of the later one", func() bool { return api.readValue(reserveKey) == "21000,22000,25000" })
	if err := later.Close(); err != nil {
		t.Fatal(err)
	}
	a.setSpec()
	a.waitUntil("what was reserved before", func() bool { return api.readValue(reserveKey) == "25000" && api.readValue(rangeKey) == "32768 60999" })
}

// startWithInode starts a pod whose namespace has the inode of old's, which has ended.
func (n *node) startWithInode(old *pod, spec podspecs.Pod) *pod {
	n.tb.Helper()
	for range 500 { // until the kernel's RCU has freed the old one
		p := n.startPod(spec)
		if p.inode == old.inode {
			return p
		}
		p.stop()
		n.removePod(p)
	}
	n.tb.Skipf("net:[%d] was not used again", old.inode)
	return nil
}

func TestAnInodeThatIsUsedAgainIsNotTheOldNamespace(t *testing.T) {
	n := newNode(t)
	old := n.startPod(labeled("old", "api"))
	a := n.startAgent()
	a.setSpec(inPods(fin, "17", to("api")))
	a.waitUntil("the setting", func() bool { return a.countApplied(fin) == 1 })
	a.stop() // so that it does not notice the removal
	n.removePod(old)
	old.stop()
	reused := n.startWithInode(old, labeled("new", "web"))
	reused.WriteSysctl(fin, "17") // what was written to the old one
	a = n.startAgent()
	a.setSpec()
	a.waitUntil("that the old one is forgotten", func() bool { return n.countJournalEntries() == 0 })
	if got := reused.readValue(fin); got != "17" {
		t.Errorf("the new namespace was given the old one's original: %s", got)
	}
}

// TestNothingIsWrittenWhereAnotherNamespaceIsByNow tells the agent what was true a
// moment ago: the inode belongs to a pod, which is no more.
func TestNothingIsWrittenWhereAnotherNamespaceIsByNow(t *testing.T) {
	n := newNode(t)
	old := n.startPod(labeled("old", "api"))
	before := n.awaitOwners(1)
	old.stop()
	reused := n.startWithInode(old, labeled("new", "web"))
	n.overrideOwners(before)
	a := n.startAgent()
	a.setSpec(inPods(fin, "17"))
	<-a.cycles // the beginning of the first, then of one after it
	a.RequestCycle()
	<-a.cycles
	if got := reused.readValue(fin); got != "60" {
		t.Errorf("the new namespace has %s", got)
	}
	if entries := n.countJournalEntries(); entries != 0 {
		t.Errorf("the journal has %d entries", entries)
	}
	n.overrideOwners(nil)
	a.waitUntil("the setting in the new pod", func() bool { return reused.readValue(fin) == "17" })
}

// TestWhoSeesNoProcessesForgetsNothing is an agent without portwalk that may not see
// whose namespaces are whose.
func TestWhoSeesNoProcessesForgetsNothing(t *testing.T) {
	n := newNode(t)
	api, gone := n.startPod(labeled("api", "api")), n.startPod(labeled("gone", "api"))
	a := n.startAgent()
	a.setSpec(inPods(fin, "17"))
	a.waitUntil("the settings", func() bool { return a.countApplied(fin) == 2 })
	a.stop()
	gone.stop()
	n.overrideOwners([]netns.Namespace{})
	a = n.startAgent()
	a.setSpec(inPods(fin, "17"))
	a.waitUntil("that the pod which ended is forgotten", func() bool { return n.countJournalEntries() == 1 })
	a.setSpec()
	<-a.cycles
	a.RequestCycle()
	<-a.cycles
	if n.countJournalEntries() != 1 || api.readValue(fin) != "17" {
		t.Errorf("the journal has %d entries, the pod has %s", n.countJournalEntries(), api.readValue(fin))
	}
	n.overrideOwners(nil)
	a.waitUntil("the original", func() bool { return api.readValue(fin) == "60" && n.countJournalEntries() == 0 })
}
