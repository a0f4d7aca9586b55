package pods_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/api/v1alpha1"
)

// A pod that ends while it is read or written is not a failure, which would stop a rollout.
func TestPodsThatComeAndGoAreNoFailure(t *testing.T) {
	n := newNode(t)
	a := n.startAgent()
	a.setSpec(inPods(fin, "20"), inPods(rangeKey, "16384 65535"), inPods(reuse, "1"))
	failures, stop := map[string]int{}, make(chan struct{})
	var observing sync.WaitGroup
	observing.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-a.cycles:
			}
			for _, s := range a.ListSettings() {
				if s.State == v1alpha1.SettingFailed || s.State == v1alpha1.SettingContested {
					failures[fmt.Sprintf("%s %s", s.State, s.Message)]++
				}
			}
			a.RequestCycle()
		}
	})
	r := rand.New(rand.NewPCG(1, 2))
	var live []*pod
	for i := range 80 {
		if len(live) < 3 || r.IntN(2) == 0 && len(live) < 8 {
			live = append(live, n.startPod(podspecs.Pod{Namespace: "d", Name: fmt.Sprintf("p%d", i)}))
			continue
		}
		ended := r.IntN(len(live))
		p := live[ended]
		live = append(live[:ended], live[ended+1:]...)
		if r.IntN(2) == 0 { // the API server knows first
			n.removePod(p)
		}
		p.stop()
		n.removePod(p)
	}
	a.waitUntil("the setting in all live pods", func() bool { return a.countApplied(fin) == int32(len(live)) })
	close(stop)
	observing.Wait()
	for message, times := range failures {
		t.Errorf("%d times: %s", times, message)
	}
}

func TestAPodWithItsOwnUnprivilegedPortsRefusesTheRange(t *testing.T) {
	n := newNode(t)
	for i := range 3 {
		n.startPod(podspecs.Pod{Namespace: "d", Name: fmt.Sprintf("p%d", i)})
	}
	odd := n.startPod(podspecs.Pod{Namespace: "tenant", Name: "odd", Sysctls: []string{"net.ipv4.ip_unprivileged_port_start"}})
	odd.WriteSysctl("net.ipv4.ip_unprivileged_port_start", "30000")
	a := n.startAgent()
	a.setSpec(inPods(rangeKey, "16384 65535"))
	a.waitUntil("the range in the others", func() bool { return a.countApplied(rangeKey) == 3 })
	s := a.findStatus(rangeKey + "@pods")
	if s.State != v1alpha1.SettingApplied || *s.PodsRefused != 1 || !strings.Contains(s.Message,
		"refused in tenant/odd: net.ipv4.ip_local_port_range: \"16384 65535\" begins below net.ipv4.ip_unprivileged_port_start, which is 30000") {
		t.Errorf("%s, refused in %d pods: %s", s.State, *s.PodsRefused, s.Message)
	}
	if got := odd.readValue(reserveKey); got != "" {
		t.Errorf("the pod reserves %s for a range that it does not have", got)
	}
}

func TestAValueThatThePodSetsItselfStays(t *testing.T) {
	n := newNode(t)
	early := n.startPod(podspecs.Pod{Namespace: "shop", Name: "early", HasInit: true, CanWriteSysctls: true})
	early.WriteSysctl(fin, "15") // before the agent knows the pod
	late := n.startPod(podspecs.Pod{Namespace: "shop", Name: "late", HasInit: true})
	plain := n.startPod(podspecs.Pod{Namespace: "shop", Name: "plain"})
	a := n.startAgent()
	a.setSpec(inPods(fin, "30"), inPods(reuse, "1"))
	a.waitUntil("the setting", func() bool { return a.countApplied(fin) == 2 && a.countApplied(reuse) == 3 })
	late.WriteSysctl(fin, "16")
	plain.WriteSysctl(fin, "17") // by a program of the node
	a.waitUntil("the repair", func() bool { return plain.readValue(fin) == "30" && *a.findStatus(fin + "@pods").PodsRefused == 2 })
	late.WriteSysctl(fin, "60") // the original
	a.stop()
	a = n.startAgent() // an agent that starts later knows of it, too
	a.setSpec(inPods(fin, "31"))
	a.waitUntil("a new value", func() bool { return plain.readValue(fin) == "31" && a.countApplied(fin) == 1 })
	if got := early.readValue(fin) + " " + late.readValue(fin); got != "15 60" {
		t.Errorf("the pods have %s", got)
	}
	if s := a.findStatus(fin + "@pods"); s.State != v1alpha1.SettingApplied || *s.PodsRefused != 2 ||
		!strings.Contains(s.Message, `refused in 2 pods, such as shop/early: net.ipv4.tcp_fin_timeout: the pod has set it to "15" itself, which takes precedence`) {
		t.Errorf("%s: %s", s.State, s.Message)
	}
	a.setSpec()
	a.waitUntil("everything restored", func() bool { return n.countJournalEntries() == 0 })
	if got := early.readValue(fin) + " " + late.readValue(fin) + " " + plain.readValue(fin); got != "15 60 17" {
		t.Errorf("the pods have %s", got)
	}
}

func TestSandboxedPodsAreRefused(t *testing.T) {
	n := newNode(t)
	plain, guest := n.startPod(labeled("plain", "api")), n.startPod(labeled("guest", "api"))
	a := n.startAgent()
	a.setSpec(inPods(fin, "17"))
	a.waitUntil("the setting", func() bool { return a.countApplied(fin) == 2 })
	owners := n.awaitOwners(2)
	for i := range owners { // its sandbox has started by now
		if owners[i].Owner.PodUID == guest.UID {
			owners[i].Owner.Sandbox = netns.SandboxGVisor
		}
	}
	n.overrideOwners(owners)
	a.waitUntil("the original in the sandbox", func() bool { return guest.readValue(fin) == "60" && a.countApplied(fin) == 1 })
	if s := a.findStatus(fin + "@pods"); s.State != v1alpha1.SettingApplied || *s.PodsRefused != 1 ||
		s.Message != "refused in shop/guest: gVisor keeps the pod's sockets outside the host kernel, where the setting has no effect" {
		t.Errorf("%s, refused in %d pods: %s", s.State, *s.PodsRefused, s.Message)
	}
	if got := plain.readValue(fin); got != "17" {
		t.Errorf("the other pod has %s", got)
	}
}

func TestARestoreInPodsThatIsNotPossibleIsReported(t *testing.T) {
	n := newNode(t)
	api := n.startPod(labeled("api", "api"))
	a := n.startAgent()
	a.setSpec(inPods(fin, "17"))
	a.waitUntil("the setting", func() bool { return a.countApplied(fin) == 1 })
	n.mu.Lock()
	n.broken = true
	n.mu.Unlock()
	a.setSpec()
	a.waitUntil("the failure", func() bool { return a.findStatus(fin+"@restored").State == v1alpha1.SettingFailed })
	if got := api.readValue(fin); got != "17" {
		t.Errorf("the pod has %s", got)
	}
	n.mu.Lock()
	n.broken = false
	n.mu.Unlock()
	a.waitUntil("the original", func() bool {
		return api.readValue(fin) == "60" && a.findStatus(fin+"@restored").State == v1alpha1.SettingReleased
	})
}
