package nodetuning

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/pace"
)

// addPool adds nodes named after the pool and labelled with it.
func (s *simulation) addPool(pool string, nodes int) {
	for i := range nodes {
		s.addNode(fmt.Sprintf("%s%03d", pool, i), map[string]string{"pool": pool})
	}
}

// labelPool sets the label pool of all nodes.
func (s *simulation) labelPool(pool string) {
	for _, n := range s.nodes {
		n.labels = map[string]string{"pool": pool}
	}
}

// recreatePressure replaces the node's PortPressure by a new one without settings and status.
func (n *simulatedNode) recreatePressure() {
	n.missing, n.generation, n.spec.Settings, n.released, n.status = false, 1, nil, "", v1alpha1.PortPressureStatus{}
	n.createdAt = n.createdAt.Add(30 * 24 * time.Hour)
}

// wantTuned fails unless that many nodes have a value of ours.
func (s *simulation) wantTuned(id string, want int) {
	s.Helper()
	if got := s.countTuned(id); got != want {
		s.Errorf("%d nodes have %s, want %d:\n%s", got, id, want, s.describe())
	}
}

func inPool(pool string) map[string]string { return map[string]string{"pool": pool} }

func withoutCanaries(s *v1alpha1.NodeTuningSpec) {
	s.Rollout.Canaries, s.Rollout.SoakSeconds, s.Rollout.BatchSoakSeconds = new(int32), new(int32), new(int32)
}

func withMaxUnavailable(n int32) func(*v1alpha1.NodeTuningSpec) {
	return func(s *v1alpha1.NodeTuningSpec) { s.Rollout.MaxUnavailable = new(intstr.FromInt32(n)) }
}

func withDryRun(s *v1alpha1.NodeTuningSpec) { s.Mode = v1alpha1.ModeDryRun }

func withoutLabel(label string) func(*v1alpha1.NodeTuningSpec) {
	return func(s *v1alpha1.NodeTuningSpec) {
		s.NodeSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: label, Operator: metav1.LabelSelectorOpDoesNotExist}}}
	}
}

// A NodeTuning is not released while a node still has its settings, for whatever reason.
func TestADeletedTuningWaitsForEveryNode(t *testing.T) {
	tests := map[string]struct {
		before, after func(s *simulation, n *simulatedNode) // before and after the deletion
		obstacle      string
	}{
		"restoring fails": {
			before: func(_ *simulation, n *simulatedNode) { n.failure = "read-only file system" }, obstacle: "read-only file system",
		},
		"its agent only measures now": {
			before: func(_ *simulation, n *simulatedNode) { n.measuring = true }, obstacle: "this agent changes no settings",
		},
		"the node is held": {
			before: func(_ *simulation, n *simulatedNode) { n.held = true }, obstacle: "portreeve.io/hold stops every change",
		},
		"its agent is silent": {
			before: func(_ *simulation, n *simulatedNode) { n.agentLabel = v1alpha1.AgentSilent }, obstacle: "its agent is silent",
		},
		"its PortPressure is deleted": {
			before: func(_ *simulation, n *simulatedNode) { n.missing = true }, obstacle: "it has no PortPressure yet",
		},
		"its PortPressure is recreated and its agent has not reported": {
			before:   func(_ *simulation, n *simulatedNode) { n.recreatePressure(); n.agentLabel = v1alpha1.AgentSilent },
			obstacle: "its agent is silent",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSimulation(t, 10)
			s.createTuning("t", nil, withFinTimeout(20), withoutLimits)
			s.runUntilPhase("t", v1alpha1.RolloutComplete)
			n := s.nodes["n0003"]
			test.before(s, n)
			s.deleteTuning("t")
			s.run(10, time.Minute)
			if s.tunings["t"] == nil {
				t.Fatalf("it is released although a node still has its settings: %v", s.events)
			}
			s.wantTuned(finTimeoutKey, 1) // the others do not wait
			reason := s.tunings["t"].Status.Rollout.Reason
			for _, want := range []string{"original settings not yet restored on 1 node", "n0003 (", test.obstacle, v1alpha1.AnnotationConfirmRelease + "=2"} {
				if !strings.Contains(reason, want) {
					t.Errorf("reason %q, want %q", reason, want)
				}
			}
			if n.missing {
				n.recreatePressure()
			}
			n.failure, n.held, n.measuring, n.agentLabel = "", false, false, ""
			s.runUntil("released", time.Minute, func() bool { return s.tunings["t"] == nil })
			s.wantTuned(finTimeoutKey, 0)
		})
	}
}

func TestAConfirmedReleaseDoesNotWaitForNodesThatCannot(t *testing.T) {
	s := newSimulation(t, 10)
	s.createTuning("t", nil, withFinTimeout(20), withoutLimits)
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	s.nodes["n0001"].failure, s.nodes["n0002"].held, s.nodes["n0003"].agentLabel, s.nodes["n0004"].missing = "EIO", true, v1alpha1.AgentSilent, true
	s.deleteTuning("t")
	s.annotateTuning("t", v1alpha1.AnnotationConfirmRelease)
	s.runUntil("released", time.Minute, func() bool { return s.tunings["t"] == nil })
	s.wantTuned(finTimeoutKey, 4)
	if settings := s.nodes["n0003"].spec.Settings; settings == nil || len(settings) > 0 {
		t.Errorf("the silent agent will not restore the original values: %v", settings)
	}
}

// Agents whose PortPressures were all recreated while the NodeTuning was deleted restore
// their original values once they report what they have.
func TestADeletedTuningFindsItsSettingsInRecreatedPortPressures(t *testing.T) {
	s := newSimulation(t, 10)
	s.createTuning("t", nil, withFinTimeout(20), withoutLimits)
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	for _, n := range s.nodes {
		n.missing = true
	}
	s.deleteTuning("t")
	s.run(1, time.Second)
	for _, n := range s.nodes {
		n.recreatePressure()
	}
	s.runUntil("released", time.Second, func() bool { return s.tunings["t"] == nil })
	s.wantTuned(finTimeoutKey, 0)
}

// A node that is held, and whose settings are still to be restored, affects only the
// NodeTuning that they come from.
func TestAHeldNodeBlocksNoOtherTuning(t *testing.T) {
	s := newSimulation(t, 0)
	for _, pool := range []string{"a", "b", "c"} {
		s.addPool(pool, 10)
	}
	s.createTuning("a", inPool("a"), withFinTimeout(20), withoutLimits)
	s.createTuning("b", inPool("b"), withFinTimeout(30), withoutLimits)
	s.runUntilPhase("b", v1alpha1.RolloutComplete)
	s.nodes["a003"].held = true
	s.nodes["a003"].labels = inPool("quarantine")
	s.run(5, time.Second)
	s.deleteTuning("b")
	s.createTuning("c", inPool("c"), withFinTimeout(40), withoutCanaries, withMaxUnavailable(1))
	s.runUntil("b is released", time.Second, func() bool { return s.tunings["b"] == nil })
	s.runUntilPhase("c", v1alpha1.RolloutComplete)
	s.wantTuned(finTimeoutKey, 20)

	s.deleteTuning("a")
	s.run(20, time.Second)
	if a := s.tunings["a"]; a == nil || !strings.Contains(a.Status.Rollout.Reason, "a003 (the annotation portreeve.io/hold") {
		t.Errorf("its own NodeTuning does not wait for it: %s", s.describe())
	}
	s.wantTuned(finTimeoutKey, 11) // all but a003 are restored
}

// All NodeTunings together change no more nodes than one of them may.
func TestSeveralTuningsShareOneLimit(t *testing.T) {
	keys := []func(*v1alpha1.NodeTuningSpec){
		withFinTimeout(20),
		func(s *v1alpha1.NodeTuningSpec) { s.Linux.SynRetries = new(int32(3)) },
		func(s *v1alpha1.NodeTuningSpec) { s.Linux.KeepAlive.TimeSeconds = new(int32(600)) },
		func(s *v1alpha1.NodeTuningSpec) { s.Linux.KeepAlive.Probes = new(int32(5)) },
		func(s *v1alpha1.NodeTuningSpec) { s.Linux.SynCookies = new(int32(2)) },
	}
	for configured, limit := range map[string]int{"": 10, "3": 3, "25%": 25} {
		s := newSimulation(t, 100)
		s.pace = pace.Parse(map[string]string{"maxUnavailable": configured})
		s.pickDelay = func() int { return 2 }
		for i, key := range keys {
			s.createTuning(fmt.Sprint("t", i), nil, key, withoutCanaries)
		}
		changing, most := map[string]bool{}, 0
		for range 400 {
			for _, c := range s.plan().changes {
				changing[c.node.Name] = true
			}
			most = max(most, len(changing))
			s.now = s.now.Add(10 * time.Second)
			s.runAgents()
			for name := range changing {
				if n := s.nodes[name]; n.status.ObservedGeneration == n.generation {
					delete(changing, name)
				}
			}
		}
		if most > limit || most == 0 {
			t.Errorf("maxUnavailable %q: %d nodes were changing at the same time, want at most %d", configured, most, limit)
		}
		s.wantTuned(finTimeoutKey, 100)
		s.wantTuned("net.ipv4.tcp_syncookies", 100)
	}
}

func TestThePaceConfigMapStopsAllTunings(t *testing.T) {
	s := newSimulation(t, 10)
	s.createTuning("old", nil, withFinTimeout(20), withoutLimits)
	s.runUntilPhase("old", v1alpha1.RolloutComplete)
	s.pace = pace.Parse(map[string]string{"paused": "true"})
	s.createTuning("new", nil, func(s *v1alpha1.NodeTuningSpec) { s.Linux.SynRetries = new(int32(3)) }, withoutLimits)
	s.deleteTuning("old")
	s.run(5, time.Minute)
	s.wantTuned(finTimeoutKey, 10)
	s.wantTuned("net.ipv4.tcp_syn_retries", 0)
	for _, name := range []string{"old", "new"} {
		if got := s.tunings[name].Status.Rollout.Reason; !strings.Contains(got, "paused is true in the ConfigMap portreeve-pace") {
			t.Errorf("%s: reason %q", name, got)
		}
	}
	s.pace = pace.Config{}
	s.runUntilPhase("new", v1alpha1.RolloutComplete)
	s.wantTuned(finTimeoutKey, 0)
}

// A percentage refers to the nodes of the NodeTuning whose agents report.
func TestForeignAndSilentNodesDoNotRaiseTheLimit(t *testing.T) {
	s := newSimulation(t, 0)
	s.addPool("b", 20)
	s.addPool("x", 100)
	for name, n := range s.nodes {
		if n.labels["pool"] == "x" { // the default thresholds were edited while they are silent
			n.spec.Settings, n.generation, n.agentLabel = []v1alpha1.Setting{}, 2, v1alpha1.AgentSilent
		} else if name >= "b010" {
			n.agentLabel = v1alpha1.AgentSilent
		}
	}
	s.createTuning("b", inPool("b"), withFinTimeout(20), withoutCanaries)
	if changes := s.plan().changes; len(changes) != 1 {
		t.Errorf("%d nodes change at once, want 10 %% of 10", len(changes))
	}
}

// The brake blocks whatever would take settings from many nodes by accident.
func TestTheBrakeBlocksAccidents(t *testing.T) {
	whole := func(s *simulation) { s.createTuning("t", nil, withFinTimeout(20), withoutLimits) }
	pool := func(s *simulation) {
		s.labelPool("a")
		s.createTuning("t", inPool("a"), withFinTimeout(20), withoutLimits)
	}
	tests := map[string]struct {
		nodes          int
		setUp, mistake func(s *simulation)
		keep           int
	}{
		"the labels of six pools vanish": {60, func(s *simulation) {
			for i := range 60 {
				s.nodes[fmt.Sprintf("n%04d", i)].labels = inPool(fmt.Sprint(i / 10))
			}
			for p := range 6 {
				s.createTuning(fmt.Sprint("t", p), inPool(fmt.Sprint(p)), withFinTimeout(20), withoutLimits)
			}
		}, func(s *simulation) { s.labelPool("") }, 60},
		"the selector of a small pool is mistyped": {100, func(s *simulation) {
			for i := range 18 {
				s.nodes[fmt.Sprintf("n%04d", i)].labels = inPool("a")
			}
			s.createTuning("t", inPool("a"), withFinTimeout(20), withoutLimits)
		}, func(s *simulation) {
			s.editTuning("t", func(s *v1alpha1.NodeTuningSpec) { s.NodeSelector.MatchLabels["pool"] = "typo" })
		}, 18},
		"an edit to DryRun": {100, whole, func(s *simulation) { s.editTuning("t", withDryRun) }, 100},
		"an edit that removes a setting": {100, whole, func(s *simulation) {
			s.editTuning("t", func(s *v1alpha1.NodeTuningSpec) { s.Linux.FinTimeoutSeconds = nil })
		}, 100},
		"a new NodeTuning with equal priority": {100, func(s *simulation) {
			for i := range 18 {
				s.nodes[fmt.Sprintf("n%04d", i)].labels = inPool("b")
			}
			whole(s)
		}, func(s *simulation) { s.createTuning("b", inPool("b"), withFinTimeout(30), withoutLimits) }, 100},
		"labels vanish from two nodes a minute": {100, pool, func(s *simulation) {
			for i := range 50 {
				s.nodes[fmt.Sprintf("n%04d", 2*i)].labels, s.nodes[fmt.Sprintf("n%04d", 2*i+1)].labels = nil, nil
				s.run(6, 10*time.Second)
			}
		}, 80},
		"seven edits of 15 % each": {105, func(s *simulation) {
			for i := range 105 {
				s.nodes[fmt.Sprintf("n%04d", i)].labels = map[string]string{"slice": fmt.Sprint(i / 15)}
			}
			whole(s)
		}, func(s *simulation) {
			for k := range 7 {
				s.editTuning("t", func(s *v1alpha1.NodeTuningSpec) {
					s.NodeSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
						{Key: "slice", Operator: metav1.LabelSelectorOpNotIn, Values: strings.Split("0,1,2,3,4,5,6", ",")[:k+1]},
					}}
				})
				s.run(2, time.Second)
			}
		}, 90},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSimulation(t, test.nodes)
			test.setUp(s)
			for tuning := range s.tunings {
				s.runUntilPhase(tuning, v1alpha1.RolloutComplete)
			}
			test.mistake(s)
			s.run(10, time.Second)
			s.wantTuned(finTimeoutKey, test.keep)
			if !strings.Contains(s.describe(), v1alpha1.ReasonReleaseHeld) {
				t.Errorf("no NodeTuning is held: %s", s.describe())
			}
			for tuning := range s.tunings { // the remedy works
				s.annotateTuning(tuning, v1alpha1.AnnotationConfirmRelease)
			}
			s.run(10, 10*time.Second)
			if strings.Contains(s.describe(), v1alpha1.ReasonReleaseHeld) || s.countTuned(finTimeoutKey) == test.keep {
				t.Errorf("after confirmation: %d nodes are tuned: %s", s.countTuned(finTimeoutKey), s.describe())
			}
		})
	}
}

// Only an edit to UnderPressure keeps the values in the simulated kernel, so the specs show
// whether the brake blocks it.
func TestTheBrakeBlocksAnEditToUnderPressure(t *testing.T) {
	s := newSimulation(t, 10)
	s.createTuning("t", nil, withFinTimeout(20), withoutLimits)
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	s.editTuning("t", func(s *v1alpha1.NodeTuningSpec) { s.Activation = v1alpha1.ActivationUnderPressure })
	s.run(5, time.Second)
	for _, n := range s.nodes {
		if n.spec.Settings[0].Activation != "" {
			t.Fatalf("%s is restored while it is not under pressure: %s", n.name, s.describe())
		}
	}
}

// Losses that were confirmed or requested do not make the brake block others.
func TestDeliberateLossesDoNotCount(t *testing.T) {
	s := newSimulation(t, 20)
	s.labelPool("a")
	s.createTuning("t", inPool("a"), withFinTimeout(20), withoutLimits)
	s.createTuning("u", inPool("a"), func(s *v1alpha1.NodeTuningSpec) { s.Linux.SynRetries = new(int32(3)) }, withoutLimits)
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	s.runUntilPhase("u", v1alpha1.RolloutComplete)
	s.deleteTuning("u")
	s.runUntil("released", time.Second, func() bool { return s.tunings["u"] == nil })
	s.nodes["n0001"].labels, s.nodes["n0002"].labels = nil, nil
	s.run(5, time.Second)
	s.wantTuned(finTimeoutKey, 18)
}

// A value that two NodeTunings desire stays in effect when one of them goes.
func TestAValueIsHandedOver(t *testing.T) {
	tests := map[string]struct {
		heir   []func(*v1alpha1.NodeTuningSpec)
		rename bool // the heir is created when the other is deleted
		narrow bool // the selector of the other is narrowed instead
	}{
		"to a NodeTuning with a lower priority":  {},
		"to one that updates one node at a time": {heir: []func(*v1alpha1.NodeTuningSpec){withMaxUnavailable(1)}},
		"to one that is created at that moment":  {rename: true},
		"when the selector is narrowed":          {narrow: true, heir: []func(*v1alpha1.NodeTuningSpec){withMaxUnavailable(1)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSimulation(t, 40)
			for i := range 6 {
				s.nodes[fmt.Sprintf("n%04d", i)].labels = map[string]string{"moved": "yes"}
			}
			s.createTuning("first", nil, withFinTimeout(20), withoutLimits, withPriority(10))
			s.runUntilPhase("first", v1alpha1.RolloutComplete)
			createHeir := func() { s.createTuning("heir", nil, append(test.heir, withFinTimeout(20))...) }
			if !test.rename {
				createHeir()
				s.run(10, 10*time.Second)
			}
			if test.narrow {
				s.editTuning("first", withoutLabel("moved"))
			} else {
				s.deleteTuning("first")
			}
			if test.rename {
				createHeir()
			}
			for range 100 {
				s.run(1, 2*time.Second)
				s.wantTuned(finTimeoutKey, 40)
			}
			if !test.narrow && s.tunings["first"] != nil {
				t.Errorf("it is not released: %s", s.describe())
			}
			if got := s.nodes["n0003"].spec.Settings[0].From.Name; got != "heir" {
				t.Errorf("the setting of n0003 comes from %q", got)
			}
		})
	}
}

func TestADryRunPreviewsWhatOthersEnforce(t *testing.T) {
	s := newSimulation(t, 10)
	s.createTuning("live", nil, withFinTimeout(20), withoutLimits)
	s.runUntilPhase("live", v1alpha1.RolloutComplete)
	s.createTuning("preview", nil, withFinTimeout(15), withoutLimits, withDryRun, withPriority(10))
	s.run(5, time.Second)
	status := s.tunings["preview"].Status
	if status.Counts.DryRun != 10 || len(status.Previews) != 1 || status.Previews[0].Effect != v1alpha1.PreviewChanged || status.Previews[0].Nodes != 10 {
		t.Errorf("preview on %d nodes: %+v", status.Counts.DryRun, status.Previews)
	}
	s.wantTuned(finTimeoutKey, 10)
}

func TestADryRunOrPausedTuningChangesNoThresholds(t *testing.T) {
	withThresholds := func(s *v1alpha1.NodeTuningSpec) {
		s.Thresholds = v1alpha1.Thresholds{WarningPercent: 5, CriticalPercent: 10}
	}
	for name, change := range map[string]func(*v1alpha1.NodeTuningSpec){
		"dry run": withDryRun, "paused": func(s *v1alpha1.NodeTuningSpec) { s.Rollout.Paused = true },
	} {
		s := newSimulation(t, 3)
		s.createTuning("t", nil, withThresholds, change)
		s.run(3, time.Second)
		if got := s.nodes["n0001"].spec.Thresholds; got != defaults {
			t.Errorf("%s: thresholds %+v", name, got)
		}
	}
	s := newSimulation(t, 3)
	s.createTuning("t", nil, withThresholds)
	s.run(3, time.Second)
	s.editTuning("t", func(s *v1alpha1.NodeTuningSpec) { s.Rollout.Paused = true })
	s.run(3, time.Second)
	if got := s.nodes["n0001"].spec.Thresholds.WarningPercent; got != 5 {
		t.Errorf("a pause has changed the warning threshold to %d", got)
	}
}

// A key that a newer version of the controller has set stays until its NodeTuning is deleted.
func TestAnUnknownKeyIsKept(t *testing.T) {
	const unknown = "net.ipv4.tcp_new_in_next_version"
	s := newSimulation(t, 20)
	s.createTuning("t", nil, withFinTimeout(20), withoutLimits)
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	for _, n := range s.nodes {
		newer := n.spec.Settings[0]
		newer.ID, newer.Key, newer.Value = unknown, unknown, "1"
		n.spec.Settings = append(n.spec.Settings, newer)
		n.generation++
		n.runAgent(s.now)
	}
	s.run(5, time.Second)
	s.wantTuned(unknown, 20)
	s.editTuning("t", withFinTimeout(30))
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	s.wantTuned(unknown, 20)
	if got := s.nodes["n0001"].kernel[finTimeoutKey]; got != "30" {
		t.Errorf("%s is %s after the edit", finTimeoutKey, got)
	}
	s.deleteTuning("t")
	s.runUntil("released", time.Second, func() bool { return s.tunings["t"] == nil })
	s.wantTuned(unknown, 0)
}

// A NodeTuning that does not fit on a node is refused there, and affects no other.
func TestTooManySettingsAreRefused(t *testing.T) {
	s := newSimulation(t, 3)
	s.createTuning("base", nil, withFinTimeout(20), withoutLimits, withPriority(1))
	s.runUntilPhase("base", v1alpha1.RolloutComplete)
	for i := range 13 {
		s.createTuning(fmt.Sprintf("team%02d", i), nil, withoutLimits, func(sp *v1alpha1.NodeTuningSpec) {
			sp.Linux = v1alpha1.LinuxSettings{
				SynRetries: new(int32(3)), SynCookies: new(int32(1)), TimeWait: v1alpha1.LinuxTimeWait{Reuse: "All", MaxBuckets: new(int32(200000))},
				KeepAlive:         v1alpha1.LinuxKeepAlive{TimeSeconds: new(int32(600)), IntervalSeconds: new(int32(30)), Probes: new(int32(5))},
				Backlog:           v1alpha1.LinuxBacklog{Accept: new(int32(8192)), Syn: new(int32(8192))},
				EphemeralPorts:    &v1alpha1.EphemeralPorts{First: 16384, Last: 65535},
				FinTimeoutSeconds: new(int32(20)),
			}
			sp.Pods = &v1alpha1.PodScope{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": fmt.Sprint(i)}}}
		})
	}
	s.run(100, 10*time.Second)
	refused := 0
	for name, tuning := range s.tunings {
		for _, c := range tuning.Status.Conditions {
			if c.Type == v1alpha1.ConditionDegraded && c.Status == metav1.ConditionTrue {
				refused++
				if c.Reason != v1alpha1.ReasonTooManySettings || !strings.Contains(c.Message, "do not fit on 3 nodes (such as n0000)") {
					t.Errorf("%s: %s %q", name, c.Reason, c.Message)
				}
			}
		}
	}
	for _, n := range s.nodes {
		if len(n.spec.Settings) > v1alpha1.MaxSettings {
			t.Errorf("%s has %d settings", n.name, len(n.spec.Settings))
		}
	}
	if refused == 0 || refused > 3 {
		t.Errorf("%d of 13 NodeTunings are refused: %s", refused, s.describe())
	}
	s.editTuning("base", withFinTimeout(25)) // others go on
	s.runUntilPhase("base", v1alpha1.RolloutComplete)
	if got := s.nodes["n0001"].kernel[finTimeoutKey]; got != "25" {
		t.Errorf("%s is %s after the edit", finTimeoutKey, got)
	}
}

// After a regression, the last completed revision returns, so that settings that the edit
// did not change stay.
func TestARegressionRevertsToTheLastCompletedRevision(t *testing.T) {
	const ports = "net.ipv4.ip_local_port_range"
	s := newSimulation(t, 20)
	s.createTuning("t", nil, withFinTimeout(20), withRevert, func(s *v1alpha1.NodeTuningSpec) {
		s.Rollout.MaxFailed = new(intstr.FromInt32(0))
		s.Linux.EphemeralPorts = &v1alpha1.EphemeralPorts{First: 16384, Last: 65535}
	})
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	s.editTuning("t", withFinTimeout(15), func(s *v1alpha1.NodeTuningSpec) { s.Linux.SynRetries = new(int32(3)) })
	var canary *simulatedNode
	s.runUntil("the canary has the edit", 10*time.Second, func() bool {
		for _, n := range s.nodes {
			if n.kernel[finTimeoutKey] == "15" {
				canary = n
			}
		}
		return canary != nil
	})
	canary.failure = "EIO"
	canary.kernel[finTimeoutKey] = "20"
	s.runUntilPhase("t", v1alpha1.RolloutReverted)
	canary.failure = ""
	s.run(100, 10*time.Second)
	want := fmt.Sprint(map[string]string{ports: "16384 65535", finTimeoutKey: "20"})
	for _, n := range s.nodes {
		if got := fmt.Sprint(n.kernel); got != want {
			t.Errorf("%s has %v, want %v: %s", n.name, got, want, s.describe())
		}
	}
}

func TestRevisionsAreKept(t *testing.T) {
	tn := tuning{NodeTuning: v1alpha1.NodeTuning{ObjectMeta: metav1.ObjectMeta{Name: "t", UID: "u", Generation: 1}}}
	withFinTimeout(1)(&tn.Spec)
	var revisions []revision
	keep := func() {
		if needsRevision(&tn, revisions) {
			revisions = append(revisions, revision{number: tn.Generation, spec: *tn.Spec.DeepCopy()})
		}
	}
	keep()
	tn.Generation, tn.Spec.Rollout.Paused = 2, true // not a different spec
	keep()
	for i := range 13 {
		tn.Generation++
		withFinTimeout(int32(10 + i))(&tn.Spec)
		keep()
		keep()
	}
	if len(revisions) != 14 {
		t.Fatalf("%d revisions, want 14", len(revisions))
	}
	tn.Status.Rollout.CompletedRevision = 2 // whose spec revision 1 has
	var excess []int64
	for _, r := range listExcess(&tn, revisions) {
		excess = append(excess, r.number)
	}
	if got := fmt.Sprint(excess); got != "[3 4 5]" {
		t.Errorf("revisions to delete: %s", got)
	}
	if r, found := findRevision(revisions, 2); !found || r.number != 1 {
		t.Errorf("the revision of generation 2 is %d", r.number)
	}
}

// While the CRD is being deleted, nothing changes.
func TestNothingChangesWhileTheKindIsTerminating(t *testing.T) {
	s := newSimulation(t, 3)
	s.createTuning("t", nil, withFinTimeout(20), withoutLimits)
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	s.deleteTuning("t")
	state := s.makeState()
	state.kindTerminating = true
	if p := planWrites(state, defaults, s.now); len(p.changes) > 0 || len(p.decisions) > 0 {
		t.Errorf("%d nodes change", len(p.changes))
	}
}

func TestOrphanedSettingsAreCounted(t *testing.T) {
	s := newSimulation(t, 4)
	s.createTuning("t", nil, withFinTimeout(20), withoutLimits)
	s.createTuning("gone", map[string]string{"gone": "yes"}, func(s *v1alpha1.NodeTuningSpec) { s.Linux.SynRetries = new(int32(3)) }, withoutLimits)
	s.nodes["n0001"].labels = map[string]string{"gone": "yes"}
	s.run(10, time.Second)
	delete(s.tunings, "gone") // its finalizer was removed by hand
	s.nodes["n0002"].failure, s.nodes["n0002"].releaseRequested = "EIO", true
	s.nodes["n0003"].kernel["stray"] = "1"
	s.nodes["n0003"].recreatePressure()
	s.run(3, time.Second)
	got := fmt.Sprint(s.plan().orphaned)
	if want := "map[n0001:1 n0002:1 n0003:1]"; got != want {
		t.Errorf("orphaned settings %s, want %s", got, want)
	}
}
