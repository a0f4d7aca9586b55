package nodetuning

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// runToEnd runs for as long as the rollout of a NodeTuning is under way.
func (s *simulation) runToEnd(tuning string) {
	s.Helper()
	s.runUntil(tuning+" finished", 10*time.Second, func() bool {
		return s.hasPhase(tuning, v1alpha1.RolloutComplete) || s.hasPhase(tuning, v1alpha1.RolloutPaused) ||
			s.hasPhase(tuning, v1alpha1.RolloutReverted)
	})
}

func (s *simulation) expectTuned(want int) {
	s.Helper()
	if got := s.countTuned(finTimeoutKey); got != want {
		s.Errorf("%d nodes are tuned, want %d: %s", got, want, s.describe())
	}
}

func (s *simulation) expectPhase(tuning string, want v1alpha1.RolloutPhase) {
	s.Helper()
	if !s.hasPhase(tuning, want) {
		s.Errorf("not %s: %s", want, s.describe())
	}
}

// listChanged returns the nodes that the next pass changes.
func (s *simulation) listChanged() (names []string) {
	for _, c := range s.plan().changes {
		names = append(names, c.node.Name)
	}
	return names
}

// findUntuned returns the first node that the rollout has not reached.
func (s *simulation) findUntuned() *simulatedNode {
	for i := range len(s.nodes) {
		if n := s.nodes[fmt.Sprintf("n%04d", i)]; n != nil && len(n.kernel) == 0 {
			return n
		}
	}
	s.Fatal("every node is tuned")
	return nil
}

func (s *simulation) canary(tuning string) string {
	s.Helper()
	canaries := s.tunings[tuning].Status.Rollout.Canaries
	if len(canaries) == 0 {
		s.Fatalf("no canary: %s", s.describe())
	}
	return canaries[0]
}

// A week after its rollout, port pressure on one node decides nothing about the NodeTuning
// (F1, F1c).
func TestACompletedRolloutIsNotJudged(t *testing.T) {
	events := map[string]func(*simulation){
		"a node joins":        func(s *simulation) { s.addNode("new", map[string]string{"pool": "a"}) },
		"a node is relabeled": func(s *simulation) { s.nodes["n0007"].labels = nil },
		"a node leaves":       func(s *simulation) { delete(s.nodes, "n0007") },
	}
	for name, event := range events {
		for _, options := range []func(*v1alpha1.NodeTuningSpec){withRevert, func(*v1alpha1.NodeTuningSpec) {}} {
			s := newSimulation(t, 100)
			for _, n := range s.nodes {
				n.labels = map[string]string{"pool": "a"}
			}
			s.createTuning("t", map[string]string{"pool": "a"}, withFinTimeout(20), options)
			s.runUntilPhase("t", v1alpha1.RolloutComplete)
			s.now = s.now.Add(7 * 24 * time.Hour)
			s.raisePressure("n0042", v1alpha1.LevelWarning)
			s.run(1, time.Minute)
			s.now = s.now.Add(7 * 24 * time.Hour)
			event(s)
			s.run(5, 10*time.Second)
			s.raisePressure("n0043", v1alpha1.LevelCritical)
			s.run(30, 10*time.Second)
			want := 0
			for _, n := range s.nodes {
				want += len(n.labels)
			}
			t.Run(name, func(*testing.T) { s.expectTuned(want); s.expectPhase("t", v1alpha1.RolloutComplete) })
		}
	}
}

// Nodes that join get the completed revision at once, even more of them than maxUnavailable.
func TestJoiningNodesGetTheCompletedRevisionAtOnce(t *testing.T) {
	s := newSimulation(t, 10)
	s.createTuning("t", nil, withFinTimeout(20))
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	s.run(1, time.Minute)
	for i := range 5 {
		s.addNode(fmt.Sprintf("new%d", i), nil)
	}
	s.run(1, 10*time.Second)
	s.expectTuned(15)
	s.expectPhase("t", v1alpha1.RolloutComplete)

	s.addNode("unlabeled", nil)
	s.editTuning("t", func(spec *v1alpha1.NodeTuningSpec) { spec.NodeSelector.MatchLabels = map[string]string{"pool": "a"} })
	s.tunings["t"].Spec.NodeSelector.MatchLabels = nil
}

// A node that flaps as it did all day is no regression, even as the only canary (F18).
func TestAnUnstableCanaryIsNoRegression(t *testing.T) {
	for name, options := range map[string]func(*v1alpha1.NodeTuningSpec){
		"chosen by a user": func(spec *v1alpha1.NodeTuningSpec) {
			spec.Rollout.CanarySelector = &metav1.LabelSelector{MatchLabels: map[string]string{"canary": "yes"}}
		},
		"chosen by the controller": func(*v1alpha1.NodeTuningSpec) {},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSimulation(t, 100)
			busy := s.nodes["n0050"]
			busy.status.UsedPercent, busy.labels = new(int32(52)), map[string]string{"canary": "yes"}
			s.createTuning("t", nil, withFinTimeout(20), options)
			for i := range 120 {
				if i%18 == 0 {
					s.raisePressure("n0050", v1alpha1.LevelWarning)
				}
				s.run(1, 10*time.Second)
			}
			if s.hasPhase("t", v1alpha1.RolloutPaused) {
				t.Error(s.describe())
			}
		})
	}
}

// Pressure on every node in the watch after the last batch stops or reverts the rollout
// (F13).
func TestARegressionAfterTheLastBatchIsFound(t *testing.T) {
	for _, options := range []func(*v1alpha1.NodeTuningSpec){withRevert, func(*v1alpha1.NodeTuningSpec) {}} {
		s := newSimulation(t, 100)
		s.createTuning("t", nil, withFinTimeout(20), options)
		s.runUntilPhase("t", v1alpha1.RolloutWatching)
		s.expectTuned(100)
		for name := range s.nodes {
			s.raisePressure(name, v1alpha1.LevelCritical)
		}
		s.runToEnd("t")
		if s.hasPhase("t", v1alpha1.RolloutComplete) {
			t.Error(s.describe())
		}
		if s.tunings["t"].Spec.Rollout.OnRegression == v1alpha1.OnRegressionRevert {
			s.runUntil("reverted", 10*time.Second, func() bool { return s.countTuned(finTimeoutKey) == 0 })
		}
	}
}

// A regression of an edit reverts the edit only (F2).
func TestARevertRestoresThePreviousRevision(t *testing.T) {
	const ranges = "net.ipv4.ip_local_port_range"
	s := newSimulation(t, 20)
	s.createTuning("t", nil, withFinTimeout(20), withRevert, func(spec *v1alpha1.NodeTuningSpec) {
		spec.Linux.EphemeralPorts = &v1alpha1.EphemeralPorts{First: 16384, Last: 65535}
	})
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	s.editTuning("t", withFinTimeout(15))
	s.run(3, 10*time.Second)
	canary := s.canary("t")
	if got := s.nodes[canary].kernel[finTimeoutKey]; got != "15" {
		t.Fatalf("the canary %s has %s: %s", canary, got, s.describe())
	}
	s.raisePressure(canary, v1alpha1.LevelCritical)
	s.run(1, 10*time.Second)
	s.expectPhase("t", v1alpha1.RolloutReverted)
	for name, n := range s.nodes {
		if name != canary && (n.kernel[finTimeoutKey] != "20" || n.kernel[ranges] == "") {
			t.Errorf("%s has %v", name, n.kernel)
		}
	}
}

// An edit that only one operating system has settings for begins with a canary of it (F9).
func TestEachOperatingSystemHasItsCanary(t *testing.T) {
	windows := func(spec *v1alpha1.NodeTuningSpec) {
		spec.Windows.DynamicPorts.TCP = &v1alpha1.PortBlock{Start: 1025, Count: 64511}
	}
	newMixed := func() *simulation {
		s := newSimulation(t, 50)
		for i := range 40 {
			s.addNode(fmt.Sprintf("w%02d", i), nil).os = settings.Windows
		}
		return s
	}
	s := newMixed()
	s.createTuning("t", nil, withFinTimeout(20))
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	s.editTuning("t", windows)
	if changed := s.listChanged(); len(changed) != 1 {
		t.Errorf("%d Windows nodes change at once: %s", len(changed), s.describe())
	}

	s = newMixed()
	s.createTuning("t", nil, withFinTimeout(20))
	s.runUntilPhase("t", v1alpha1.RolloutRolling)
	s.editTuning("t", windows) // while Linux nodes are being updated
	if changed := s.listChanged(); len(changed) != 1 || changed[0][0] != 'w' {
		t.Errorf("%v change at once: %s", changed, s.describe())
	}

	s = newMixed()
	s.createTuning("t", nil, withFinTimeout(20), windows)
	s.run(1, time.Second)
	if canaries := s.tunings["t"].Status.Rollout.Canaries; len(canaries) != 2 || canaries[0][0] == canaries[1][0] {
		t.Errorf("canaries %v", canaries)
	}
}

// One node that fails, for a moment or for good, stops nobody (F15, F15c, F22).
func TestOneFailingNodeStopsNobody(t *testing.T) {
	for name, test := range map[string]struct {
		options func(*v1alpha1.NodeTuningSpec)
		heals   bool
	}{
		"pause, heals": {func(*v1alpha1.NodeTuningSpec) {}, true}, "pause, for good": {func(*v1alpha1.NodeTuningSpec) {}, false},
		"revert, heals": {withRevert, true}, "revert, for good": {withRevert, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSimulation(t, 200)
			s.createTuning("t", nil, withFinTimeout(20), test.options)
			s.runUntilPhase("t", v1alpha1.RolloutRolling)
			broken := s.findUntuned()
			broken.failure = "no space left on device"
			want := 199
			if test.heals {
				want = 200
				s.runUntil("failed", 10*time.Second, func() bool { return s.tunings["t"].Status.Counts.Failed > 0 })
				broken.failure = ""
			}
			s.runUntilPhase("t", v1alpha1.RolloutComplete)
			s.run(1, 10*time.Second)
			s.expectTuned(want)
		})
	}
}

// A canary on which the update fails is replaced.
func TestAFailingCanaryIsReplaced(t *testing.T) {
	s := newSimulation(t, 20)
	s.createTuning("t", nil, withFinTimeout(20))
	s.plan()
	first := s.canary("t")
	s.nodes[first].failure = "no space left on device"
	s.runUntilPhase("t", v1alpha1.RolloutSoaking)
	if s.countTuned(finTimeoutKey) != 1 || len(s.nodes[first].kernel) > 0 {
		t.Error(s.describe())
	}
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	s.expectTuned(19)
}

// More failures than maxFailed stop the rollout, unless they heal within the batch's soak.
func TestTooManyFailuresStopTheRollout(t *testing.T) {
	for name, test := range map[string]struct {
		maxFailed *intstr.IntOrString
		broken    int
		heal      bool
		stops     bool
	}{
		"default, 2 of 100":         {nil, 2, false, true},
		"default, 1 of 100":         {nil, 1, false, false},
		"none allowed":              {new(intstr.FromInt32(0)), 1, false, true},
		"5 % allowed, 5 of 100":     {new(intstr.FromString("5%")), 5, false, false},
		"5 % allowed, 6 of 100":     {new(intstr.FromString("5%")), 6, false, true},
		"10 of 100 that heal again": {nil, 10, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSimulation(t, 100)
			s.createTuning("t", nil, withFinTimeout(20), func(spec *v1alpha1.NodeTuningSpec) { spec.Rollout.MaxFailed = test.maxFailed })
			s.runUntilPhase("t", v1alpha1.RolloutRolling)
			var broken []*simulatedNode
			for i := 0; len(broken) < test.broken; i++ {
				if n := s.nodes[fmt.Sprintf("n%04d", i)]; len(n.kernel) == 0 && n.spec.Settings == nil {
					n.failure = "EIO"
					broken = append(broken, n)
				}
			}
			if test.heal {
				s.runUntil("failed", 10*time.Second, func() bool { return s.tunings["t"].Status.Counts.Failed > 1 })
				for _, n := range broken {
					n.failure = ""
				}
			}
			s.runToEnd("t")
			if stopped := s.hasPhase("t", v1alpha1.RolloutPaused); stopped != test.stops {
				t.Error(s.describe())
			}
		})
	}
}

// A stop is lifted without an edit, once for each request.
func TestAStoppedRolloutIsResumed(t *testing.T) {
	s := newSimulation(t, 20)
	s.createTuning("t", nil, withFinTimeout(20))
	s.annotateTuning("t", v1alpha1.AnnotationResume) // before there is a stop
	s.run(2, 10*time.Second)
	canary := s.canary("t")
	s.raisePressure(canary, v1alpha1.LevelCritical)
	s.run(2, 10*time.Second)
	s.expectPhase("t", v1alpha1.RolloutPaused)
	s.run(100, 10*time.Second)
	s.expectTuned(1)
	s.tunings["t"].Annotations[v1alpha1.AnnotationResumedBy] = "alice at 12:34"
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	s.expectTuned(20)
	resumed := s.tunings["t"].Status.Rollout.Resumed
	if resumed == nil || resumed.By != "alice at 12:34" || resumed.Revision != 1 || s.tunings["t"].Status.Rollout.Regressions != 1 {
		t.Errorf("%+v", s.tunings["t"].Status.Rollout)
	}
}

// Clocks of nodes and of the leader cannot shorten the soak (F16, F16b).
func TestWrongClocksDoNotShortenTheSoak(t *testing.T) {
	for _, offset := range []time.Duration{-56 * 365 * 24 * time.Hour, -24 * time.Hour, 24 * time.Hour} {
		s := newSimulation(t, 20)
		for _, n := range s.nodes {
			n.clockOffset = offset
		}
		s.createTuning("t", nil, withFinTimeout(20))
		s.run(25, 10*time.Second)
		s.expectTuned(1)
		s.runUntilPhase("t", v1alpha1.RolloutComplete)
	}
	for _, jump := range []time.Duration{10 * time.Minute, 24 * time.Hour, -24 * time.Hour} {
		s := newSimulation(t, 20)
		s.createTuning("t", nil, withFinTimeout(20))
		s.run(2, time.Second)
		s.now = s.now.Add(jump) // another leader
		s.run(20, 10*time.Second)
		s.expectTuned(1)
		s.now = s.now.Add(-jump)
		s.runUntilPhase("t", v1alpha1.RolloutComplete)
	}
}

// A node that dies or is switched off does not block the others (F19, F23).
func TestASilentNodeBlocksNobody(t *testing.T) {
	s := newSimulation(t, 10)
	s.createTuning("t", nil, withFinTimeout(20), func(spec *v1alpha1.NodeTuningSpec) { spec.Rollout.SoakSeconds = new(int32) })
	s.runUntilPhase("t", v1alpha1.RolloutRolling)
	var dead string
	s.runUntil("changing", 10*time.Second, func() bool {
		changed := s.listChanged()
		if len(changed) > 0 {
			dead = changed[0]
			s.nodes[dead].agentLabel = v1alpha1.AgentSilent
		}
		return dead != ""
	})
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	s.expectTuned(9)

	s = newSimulation(t, 100)
	s.nodes["n0050"].agentLabel = v1alpha1.AgentSilent
	s.createTuning("t", nil, withFinTimeout(20))
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	s.expectTuned(99)
	if reason := s.tunings["t"].Status.Rollout.Reason; !strings.Contains(reason, "n0050") {
		t.Errorf("the reason %q doesn't name the node", reason)
	}
	s.nodes["n0050"].agentLabel = ""
	s.run(2, 10*time.Second)
	s.expectTuned(100)
}

// A canary that has not applied its settings proves nothing (F21, F24).
func TestAStandbyCanaryIsInconclusive(t *testing.T) {
	s := newSimulation(t, 100)
	for _, n := range s.nodes {
		n.standby = true
	}
	s.nodes["n0009"].status.Level = v1alpha1.LevelWarning
	s.createTuning("t", nil, withFinTimeout(20), func(spec *v1alpha1.NodeTuningSpec) { spec.Activation = v1alpha1.ActivationUnderPressure })
	s.run(100, 10*time.Second)
	updated := 0
	for _, n := range s.nodes {
		updated += len(n.spec.Settings)
	}
	if updated != 1 || !strings.Contains(s.tunings["t"].Status.Rollout.Reason, "inconclusive: the canaries have not applied any setting") {
		t.Errorf("%d nodes are updated: %s", updated, s.describe())
	}
	if canary := s.canary("t"); canary != "n0009" {
		t.Errorf("the canary is %s, not the node under pressure", canary)
	}
	s.nodes["n0009"].standby = false // it applies them now, and soaks from now on
	s.run(20, 10*time.Second)
	s.expectTuned(1)
	s.runUntilPhase("t", v1alpha1.RolloutRolling)
}

// Batches never take a whole pool, and with a topology key they are of one domain (F20).
func TestBatchesAreSpreadOrOfOneDomain(t *testing.T) {
	count := func(options func(*v1alpha1.NodeTuningSpec)) (mostOfPool, mostPools, most int) {
		s := newSimulation(t, 0)
		for pool := range 10 {
			for i := range 50 {
				s.addNode(fmt.Sprintf("pool-%c-%02d", 'a'+pool, i), map[string]string{"pool": fmt.Sprint(pool)})
			}
		}
		s.createTuning("t", nil, withFinTimeout(20), options)
		for !s.hasPhase("t", v1alpha1.RolloutComplete) {
			pools := map[string]int{}
			changes := s.plan().changes
			for _, c := range changes {
				pools[c.node.Labels["pool"]]++
				mostOfPool = max(mostOfPool, pools[c.node.Labels["pool"]])
			}
			mostPools, most = max(mostPools, len(pools)), max(most, len(changes))
			s.now = s.now.Add(10 * time.Second)
			s.runAgents()
		}
		s.expectTuned(500)
		return mostOfPool, mostPools, most
	}
	if pool, _, all := count(func(spec *v1alpha1.NodeTuningSpec) { spec.Rollout.Canaries = new(int32) }); pool > 15 || all != 50 {
		t.Errorf("%d of a pool's 50 nodes are in a batch of %d", pool, all)
	}
	if pool, pools, all := count(func(spec *v1alpha1.NodeTuningSpec) {
		spec.Rollout.TopologyKey, spec.Rollout.Canaries, spec.Rollout.BatchSoakSeconds = "pool", new(int32(3)), new(int32)
	}); pools != 1 || pool != 5 || all != 5 {
		t.Errorf("batches have up to %d nodes of %d pools", all, pools)
	}
}

// Without progress for longer than the deadline, the conditions report that.
func TestAStuckRolloutIsReported(t *testing.T) {
	s := newSimulation(t, 20)
	for _, n := range s.nodes {
		n.unresponsive = true
	}
	s.createTuning("t", nil, withFinTimeout(20), func(spec *v1alpha1.NodeTuningSpec) { spec.Rollout.MaxFailed = new(intstr.FromInt32(5)) })
	s.run(50, 10*time.Second)
	isStuck := func() bool {
		c := meta.FindStatusCondition(s.tunings["t"].Status.Conditions, v1alpha1.ConditionProgressing)
		return c.Status == metav1.ConditionFalse && c.Reason == v1alpha1.ReasonProgressDeadlineExceeded &&
			meta.IsStatusConditionTrue(s.tunings["t"].Status.Conditions, v1alpha1.ConditionStalled)
	}
	if isStuck() {
		t.Errorf("too early: %s", s.describe())
	}
	s.run(20, 10*time.Second)
	if !isStuck() {
		t.Errorf("not reported: %s", s.describe())
	}
	for _, n := range s.nodes {
		n.unresponsive = false
	}
	s.run(2, 10*time.Second)
	if isStuck() {
		t.Errorf("still reported: %s", s.describe())
	}
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	s.expectTuned(20)
}

func TestAManualApprovalIsAwaited(t *testing.T) {
	s := newSimulation(t, 20)
	s.createTuning("t", nil, withFinTimeout(20), func(spec *v1alpha1.NodeTuningSpec) { spec.Rollout.Approval = v1alpha1.ApprovalManual })
	s.runUntilPhase("t", v1alpha1.RolloutAwaitingApproval)
	s.run(500, time.Minute)
	s.expectPhase("t", v1alpha1.RolloutAwaitingApproval)
	s.expectTuned(1)
	s.annotateTuning("t", v1alpha1.AnnotationApprove)
	s.tunings["t"].Annotations[v1alpha1.AnnotationApprovedBy] = "bob"
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	s.expectTuned(20)
	if a := s.tunings["t"].Status.Rollout.Approved; a == nil || a.By != "bob" || a.Revision != 1 {
		t.Errorf("%+v", a)
	}
	s.editTuning("t", withFinTimeout(30)) // another revision needs another approval
	s.runUntilPhase("t", v1alpha1.RolloutAwaitingApproval)
}

func TestNodesAreUpdatedInWindowsOnly(t *testing.T) {
	s := newSimulation(t, 20)
	s.now = time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC) // a Monday
	s.createTuning("t", nil, withFinTimeout(20), func(spec *v1alpha1.NodeTuningSpec) {
		spec.Rollout.Windows = []v1alpha1.RolloutWindow{{Start: "0 22 * * 1-5", DurationSeconds: 600, TimeZone: "Europe/Berlin"}}
	})
	var hours []string
	for s.now.Day() < 26 {
		if changed := s.listChanged(); len(changed) > 0 {
			if hour := s.now.Format("Mon 15:04")[:8]; !slices.Contains(hours, hour) {
				hours = append(hours, hour)
			}
		}
		s.now = s.now.Add(10 * time.Second)
		s.runAgents()
	}
	s.expectPhase("t", v1alpha1.RolloutComplete)
	if got := strings.Join(hours, ","); got != "Mon 21:0,Tue 21:0" {
		t.Errorf("nodes are updated on %s: %s", got, s.describe())
	}
}
