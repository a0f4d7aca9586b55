package nodetuning

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/pace"
	"portreeve.io/portreeve/controllers/internal/resolve"
	"portreeve.io/portreeve/internal/settings"
)

// finTimeoutKey is the setting that withFinTimeout sets.
const finTimeoutKey = "net.ipv4.tcp_fin_timeout"

// simulation is a simulated cluster: nodes with agents, and NodeTunings that the
// production planWrites rolls out. Its clock advances only in run.
type simulation struct {
	*testing.T
	now     time.Time
	nodes   map[string]*simulatedNode
	tunings map[string]*v1alpha1.NodeTuning
	pace    pace.Config
	// revisions are the kept specs of NodeTunings.
	revisions map[types.UID][]revision
	// pickDelay returns how many steps an agent takes to process a new spec, at least 1.
	pickDelay func() int
	// onRelease is called when the finalizer of a NodeTuning is removed.
	onRelease func(tuning string)
	events    []string
}

// simulatedNode is a node and its agent.
type simulatedNode struct {
	name       string
	os         settings.OS
	labels     map[string]string
	createdAt  time.Time
	spec       v1alpha1.PortPressureSpec
	generation int64
	status     v1alpha1.PortPressureStatus
	agentLabel string
	// kernel has the values that the agent has written and not restored, by setting ID.
	kernel map[string]string
	delay  int // steps until the agent processes the spec

	releaseRequested bool
	held             bool          // annotation hold
	released         string        // annotation released
	standby          bool          // settings with the activation UnderPressure are not needed
	measuring        bool          // the agent does not restore, and reports what it has
	failure          string        // every write fails with this message
	clockOffset      time.Duration // of the node's clock
	unresponsive     bool          // its agent reports nothing, although it is ready
	missing          bool          // its PortPressure does not exist now
}

// newSimulation returns a cluster with nodes named n0000, n0001 and so on.
func newSimulation(t *testing.T, nodes int) *simulation {
	s := &simulation{
		T: t, now: noon, nodes: map[string]*simulatedNode{}, tunings: map[string]*v1alpha1.NodeTuning{}, revisions: map[types.UID][]revision{},
		pickDelay: func() int { return 1 }, onRelease: func(string) {},
	}
	for i := range nodes {
		s.addNode(fmt.Sprintf("n%04d", i), nil)
	}
	return s
}

// addNode adds a Linux node that has reported, and uses 10 % of its ports.
func (s *simulation) addNode(name string, labels map[string]string) *simulatedNode {
	n := &simulatedNode{
		name: name, os: settings.Linux, labels: labels, createdAt: s.now, generation: 1,
		spec: v1alpha1.PortPressureSpec{Thresholds: defaults}, kernel: map[string]string{},
	}
	n.status = v1alpha1.PortPressureStatus{
		ObservedGeneration: 1, ObservedAt: &metav1.Time{Time: s.now}, UsedPercent: new(int32(10)), Level: v1alpha1.LevelNormal,
	}
	s.nodes[name] = n
	return n
}

// createTuning creates a NodeTuning for the nodes with these labels.
func (s *simulation) createTuning(name string, labels map[string]string, changes ...func(*v1alpha1.NodeTuningSpec)) {
	t := &v1alpha1.NodeTuning{ObjectMeta: metav1.ObjectMeta{
		Name: name, UID: types.UID(name), Generation: 1, CreationTimestamp: metav1.Time{Time: s.now},
	}, Spec: v1alpha1.NodeTuningSpec{
		NodeSelector: &metav1.LabelSelector{MatchLabels: labels}, Mode: v1alpha1.ModeEnforce,
	}}
	for _, change := range changes {
		change(&t.Spec)
	}
	s.tunings[name] = t
}

// editTuning changes the spec of a NodeTuning, and increments its generation.
func (s *simulation) editTuning(name string, changes ...func(*v1alpha1.NodeTuningSpec)) {
	t := s.tunings[name]
	for _, change := range changes {
		change(&t.Spec)
	}
	t.Generation++
}

func (s *simulation) deleteTuning(name string) {
	t := s.tunings[name]
	t.DeletionTimestamp = &metav1.Time{Time: s.now}
	t.Generation++
}

// annotateTuning sets an annotation to the generation of the NodeTuning.
func (s *simulation) annotateTuning(name, annotation string) {
	t := s.tunings[name]
	if t.Annotations == nil {
		t.Annotations = map[string]string{}
	}
	t.Annotations[annotation] = fmt.Sprint(t.Generation)
}

// raisePressure makes port pressure increase on a node now.
func (s *simulation) raisePressure(name string, level v1alpha1.Level) {
	n := s.nodes[name]
	n.status.LastPressure = &v1alpha1.Pressure{Level: level, From: metav1.Time{Time: s.now.Add(n.clockOffset)}}
}

// makeState returns the input of planWrites.
func (s *simulation) makeState() clusterState {
	c := clusterState{pace: s.pace, revisions: s.revisions}
	for _, name := range slices.Sorted(maps.Keys(s.tunings)) {
		c.tunings = append(c.tunings, tuning{NodeTuning: *s.tunings[name].DeepCopy()})
	}
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		if n := s.nodes[name]; n.missing {
			c.unregistered = append(c.unregistered, resolve.Node{Name: n.name, OS: n.os, Labels: n.labels})
		} else {
			c.nodes = append(c.nodes, n.makeState())
		}
	}
	return c
}

func (n *simulatedNode) makeState() *nodeState {
	return &nodeState{
		Node: resolve.Node{Name: n.name, OS: n.os, Labels: n.labels}, createdAt: n.createdAt, spec: *n.spec.DeepCopy(), generation: n.generation,
		agentLabel: n.agentLabel, releaseRequested: n.releaseRequested, held: n.held, released: parseReleaseRecords(n.released),
		status: n.status.DeepCopy(),
	}
}

// plan plans once, and applies the plan.
func (s *simulation) plan() writePlan {
	state := s.makeState()
	p := planWrites(state, defaults, s.now)
	for i := range state.tunings {
		if t := &state.tunings[i]; needsRevision(t, s.revisions[t.UID]) {
			s.revisions[t.UID] = append(s.revisions[t.UID], revision{number: t.Generation, spec: t.Spec})
		}
	}
	for name, d := range p.decisions {
		t := s.tunings[name]
		if !t.DeletionTimestamp.IsZero() && d.Released {
			s.events = append(s.events, name+": "+v1alpha1.ReasonReleased)
			delete(s.tunings, name)
			s.onRelease(name)
			continue
		}
		t.Status = d.Status
	}
	for _, c := range p.changes {
		n := s.nodes[c.node.Name]
		n.spec, n.released, n.delay = *c.spec.DeepCopy(), c.released, s.pickDelay()
		n.generation++
	}
	return p
}

// run plans, advances the clock and runs the agents, several times.
func (s *simulation) run(steps int, interval time.Duration) {
	for range steps {
		s.plan()
		s.now = s.now.Add(interval)
		s.runAgents()
	}
}

// runUntil runs in steps of interval until done, for at most a day.
func (s *simulation) runUntil(what string, interval time.Duration, done func() bool) {
	s.Helper()
	for start := s.now; !done(); s.run(1, interval) {
		if s.now.Sub(start) > 24*time.Hour {
			s.Fatalf("not %s after a day: %s", what, s.describe())
		}
	}
}

// runUntilPhase runs until the rollout of a NodeTuning is in that phase for its generation.
func (s *simulation) runUntilPhase(tuning string, phase v1alpha1.RolloutPhase) {
	s.Helper()
	s.runUntil(tuning+" "+string(phase), 10*time.Second, func() bool { return s.hasPhase(tuning, phase) })
}

func (s *simulation) hasPhase(tuning string, phase v1alpha1.RolloutPhase) bool {
	t := s.tunings[tuning]
	return t.Status.ObservedGeneration == t.Generation && t.Status.Rollout.Phase == phase
}

func (s *simulation) runAgents() {
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		n := s.nodes[name]
		if n.agentLabel != "" || n.missing || n.unresponsive {
			continue
		}
		if n.delay--; n.delay <= 0 {
			n.runAgent(s.now)
		}
	}
}

// runAgent applies the spec, and reports.
func (n *simulatedNode) runAgent(now time.Time) {
	var reports []v1alpha1.SettingStatus
	desired := map[string]v1alpha1.Setting{}
	for _, x := range n.spec.Settings {
		desired[x.ID] = x
	}
	for id, value := range n.kernel {
		if x, ok := desired[id]; n.spec.Settings == nil {
			reports = append(reports, v1alpha1.SettingStatus{ID: id, Key: id, Desired: &value, State: v1alpha1.SettingApplied})
		} else if !ok || x.Mode == v1alpha1.ModeDryRun {
			reports = append(reports, n.restoreSetting(id, value)...)
		}
	}
	for _, x := range n.spec.Settings {
		reports = append(reports, n.applySetting(x))
	}
	for i := range reports {
		reports[i].LastTransitionTime = n.findTransition(reports[i], now)
	}
	slices.SortFunc(reports, func(a, b v1alpha1.SettingStatus) int { return cmp.Compare(a.ID, b.ID) })
	n.status.Settings, n.status.ObservedGeneration = reports, n.generation
	n.status.ObservedAt = &metav1.Time{Time: now.Add(n.clockOffset)}
}

// restoreSetting restores a setting, and reports it if that fails.
func (n *simulatedNode) restoreSetting(id, value string) []v1alpha1.SettingStatus {
	report := v1alpha1.SettingStatus{ID: id, Key: id, Current: &value, State: v1alpha1.SettingPending}
	switch {
	case n.held:
	case n.measuring:
		report.State, report.Message = v1alpha1.SettingRefused, "this agent changes no settings (--tune measure)"
	case n.failure != "":
		report.State, report.Message = v1alpha1.SettingFailed, n.failure
	default:
		delete(n.kernel, id)
		return nil
	}
	return []v1alpha1.SettingStatus{report}
}

func (n *simulatedNode) applySetting(x v1alpha1.Setting) v1alpha1.SettingStatus {
	report := v1alpha1.SettingStatus{ID: x.ID, Key: x.Key, Desired: &x.Value, State: v1alpha1.SettingApplied}
	switch {
	case x.Mode == v1alpha1.ModeDryRun:
		report.State = v1alpha1.SettingDryRun
	case n.standby && x.Activation == v1alpha1.ActivationUnderPressure:
		report.State = v1alpha1.SettingStandby
	case n.kernel[x.ID] == x.Value:
	case n.held:
		report.State = v1alpha1.SettingPending
	case n.failure != "":
		report.State, report.Message = v1alpha1.SettingFailed, n.failure
	default:
		n.kernel[x.ID] = x.Value
	}
	return report
}

// findTransition returns since when a setting has its state and desired value.
func (n *simulatedNode) findTransition(is v1alpha1.SettingStatus, now time.Time) *metav1.Time {
	for _, was := range n.status.Settings {
		same := (was.Desired == nil) == (is.Desired == nil) && (was.Desired == nil || *was.Desired == *is.Desired)
		if was.ID == is.ID && was.State == is.State && same {
			return was.LastTransitionTime
		}
	}
	return &metav1.Time{Time: now.Add(n.clockOffset)}
}

// countTuned returns on how many nodes the setting has a value of ours.
func (s *simulation) countTuned(id string) (count int) {
	for _, n := range s.nodes {
		if _, ok := n.kernel[id]; ok {
			count++
		}
	}
	return count
}

// describe returns the state of all NodeTunings.
func (s *simulation) describe() (text string) {
	for _, name := range slices.Sorted(maps.Keys(s.tunings)) {
		st := s.tunings[name].Status
		text += fmt.Sprintf("%s: %s %q, %d of %d updated, %d applied", name, st.Rollout.Phase, st.Rollout.Reason,
			st.Counts.Updated, st.Counts.Matched, st.Counts.Applied)
		for _, c := range st.Conditions {
			text += fmt.Sprintf(", %s=%s/%s", c.Type, c.Status, c.Reason)
		}
		text += "\n"
	}
	return text
}

func withFinTimeout(seconds int32) func(*v1alpha1.NodeTuningSpec) {
	return func(s *v1alpha1.NodeTuningSpec) { s.Linux.FinTimeoutSeconds = &seconds }
}

func withRevert(s *v1alpha1.NodeTuningSpec) { s.Rollout.OnRegression = v1alpha1.OnRegressionRevert }

func withPriority(priority int32) func(*v1alpha1.NodeTuningSpec) {
	return func(s *v1alpha1.NodeTuningSpec) { s.Priority = priority }
}

// withoutLimits updates all nodes at once, without observing them.
func withoutLimits(s *v1alpha1.NodeTuningSpec) {
	s.Rollout = v1alpha1.Rollout{
		Canaries: new(int32), SoakSeconds: new(int32), BatchSoakSeconds: new(int32), MaxUnavailable: new(intstr.FromString("100%")),
	}
}

func TestASimulatedTuningIsRolledOutAndReleased(t *testing.T) {
	s := newSimulation(t, 3)
	s.createTuning("t", nil, withFinTimeout(20), withoutLimits)
	s.runUntilPhase("t", v1alpha1.RolloutComplete)
	if got := s.countTuned(finTimeoutKey); got != 3 {
		t.Errorf("%d of 3 nodes are tuned: %s", got, s.describe())
	}
	s.deleteTuning("t")
	s.runUntil("released", time.Second, func() bool { return s.tunings["t"] == nil })
	if got := s.countTuned(finTimeoutKey); got != 0 {
		t.Errorf("%d nodes are still tuned", got)
	}
}
