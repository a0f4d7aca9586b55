package rollout_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/rollout"
	"portreeve.io/portreeve/internal/testutil/histories"
)

// simulatedNode is a node with a simulated agent.
type simulatedNode struct {
	selected bool
	os       string
	have     []v1alpha1.Setting
	observed bool
	silent   bool
	held     bool
	delay    int // steps until its agent has processed the spec
	status   v1alpha1.PortPressureStatus

	clockOffset time.Duration // of the node's clock; the controller corrects for it in part
	settledAt   time.Time     // when its agent processed the spec
}

// simulatedCluster is a simulated cluster with one NodeTuning.
type simulatedCluster struct {
	*testing.T
	r        *rand.Rand
	now      time.Time
	leader   time.Duration // how far the leader's clock is ahead
	tuning   *v1alpha1.NodeTuning
	nodes    map[string]*simulatedNode
	created  int
	requests int
	value    int
	proved   map[string]int // last value with which the canaries have soaked, by operating system
	log      []string
}

func (c *simulatedCluster) listDesired(m *simulatedNode) []v1alpha1.Setting {
	if !m.selected || !c.tuning.DeletionTimestamp.IsZero() {
		return nil
	}
	list := makeSettings(fmt.Sprint(c.value))
	list[0].From.Generation = c.tuning.Generation
	return list
}

func (c *simulatedCluster) recordLog(format string, args ...any) {
	c.log = append(c.log, fmt.Sprintf(format, args...))
}

func (c *simulatedCluster) listNames() []string { return slices.Sorted(maps.Keys(c.nodes)) }

func (c *simulatedCluster) pickNode() *simulatedNode {
	names := c.listNames()
	return c.nodes[names[c.r.IntN(len(names))]]
}

func (c *simulatedCluster) addNode() {
	c.created++
	m := &simulatedNode{selected: c.r.IntN(10) > 0, os: "linux", observed: true,
		status: v1alpha1.PortPressureStatus{UsedPercent: new(int32(c.r.IntN(40)))}}
	if c.r.IntN(4) == 0 {
		m.os = "windows"
	}
	if c.r.IntN(4) == 0 {
		m.clockOffset = c.pickOffset()
	}
	c.nodes[fmt.Sprintf("n%03d", c.created)] = m
}

// pickOffset returns by how much a clock is wrong, at most a day.
func (c *simulatedCluster) pickOffset() time.Duration {
	return time.Duration(c.r.Int64N(int64(48*time.Hour))) - 24*time.Hour
}

// raisePressure makes pressure increase on some nodes: each does so once in 100 minutes.
func (c *simulatedCluster) raisePressure(passed time.Duration) {
	for _, name := range c.listNames() {
		if m := c.nodes[name]; c.r.Float64() < passed.Minutes()/100 {
			m.status.LastPressure = &v1alpha1.Pressure{From: metav1.Time{Time: c.now.Add(m.clockOffset)}}
		}
	}
}

// applyRandomEvent changes the cluster at random, and runs its agents.
func (c *simulatedCluster) applyRandomEvent() {
	switch k := c.r.IntN(100); {
	case k < 5:
		c.addNode()
		c.recordLog("a node joins")
	case k < 8 && len(c.nodes) > 3:
		names := c.listNames()
		gone := names[c.r.IntN(len(names))]
		delete(c.nodes, gone)
		c.recordLog("%s leaves", gone)
	case k < 12:
		m := c.pickNode()
		m.selected = !m.selected
		c.recordLog("a label changes")
	case k < 16:
		c.editTuning()
	case k < 19:
		c.tuning.Spec.Rollout.Paused = !c.tuning.Spec.Rollout.Paused
		c.tuning.Generation++
		c.recordLog("paused: %v", c.tuning.Spec.Rollout.Paused)
	case k < 24:
		m := c.pickNode()
		m.silent = !m.silent
	case k < 28:
		m := c.pickNode()
		m.held = !m.held
	case k < 32:
		c.leader = c.pickOffset()
		c.recordLog("another leader, whose clock is %v ahead", c.leader)
	case k < 36:
		c.resumeTuning()
	}
	for _, name := range c.listNames() {
		c.runAgent(c.nodes[name])
	}
	c.advance(time.Duration(5+c.r.IntN(90)) * time.Second)
}

func (c *simulatedCluster) advance(by time.Duration) {
	c.now = c.now.Add(by)
	c.raisePressure(by)
}

// resumeTuning makes a request to resume the rollout.
func (c *simulatedCluster) resumeTuning() {
	c.requests++
	if c.tuning.Annotations == nil {
		c.tuning.Annotations = map[string]string{}
	}
	c.tuning.Annotations[v1alpha1.AnnotationResume] = fmt.Sprint(c.tuning.Generation)
	c.tuning.Annotations[v1alpha1.AnnotationResumedBy] = fmt.Sprint(c.requests)
}

func (c *simulatedCluster) editTuning() {
	c.value++
	c.tuning.Generation++
	c.recordLog("edited to %d", c.value)
}

// runAgent runs one step of an agent.
func (c *simulatedCluster) runAgent(m *simulatedNode) {
	if m.silent || m.held || m.observed {
		return
	}
	if m.delay--; m.delay > 0 {
		return
	}
	m.observed, m.settledAt = true, c.now
	m.status.Settings = nil
	for _, s := range m.have {
		state := v1alpha1.SettingApplied
		switch c.r.IntN(60) {
		case 0:
			state = v1alpha1.SettingRefused
		case 1:
			state = v1alpha1.SettingFailed
		case 2:
			state = v1alpha1.SettingStandby
		}
		m.status.Settings = append(m.status.Settings, v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, State: state})
	}
}

func (c *simulatedCluster) makeInput() rollout.Input {
	in := rollout.Input{Budget: -1, Tuning: c.tuning, Now: c.now.Add(c.leader)}
	for name, m := range c.nodes {
		if want := c.listDesired(m); m.selected && want != nil || len(m.have) > 0 || !m.observed {
			in.Nodes = append(in.Nodes, rollout.Node{Name: name, OS: m.os, CanaryCandidate: true, Selected: m.selected, Held: m.held, Desired: want, Current: m.have,
				Observed: m.observed, AgentSilent: m.silent, Status: &m.status})
		}
	}
	return in
}

// reconcile plans and applies the changes. The controller may stop before it has written
// all of them or the status.
func (c *simulatedCluster) reconcile() {
	in := c.makeInput()
	d := rollout.PlanChanges(in)
	c.checkInvariants(in, d)
	for _, name := range slices.Concat(d.Update, d.Revert) {
		m := c.nodes[name]
		m.have = nil
		if slices.Contains(d.Update, name) {
			m.have = c.listDesired(m)
		}
		m.observed, m.delay = false, 1+c.r.IntN(4)
		c.recordLog("%s gets %v", name, m.have)
		if c.r.IntN(20) == 0 {
			c.recordLog("the controller stops")
			return
		}
	}
	if c.r.IntN(20) > 0 {
		c.tuning.Status = d.Status
	}
}

func (c *simulatedCluster) checkInvariants(in rollout.Input, d rollout.Decision) {
	c.Helper()
	c.checkPace(in, d)
	c.checkSoak(in, d)
	for _, name := range slices.Concat(d.Update, d.Revert) {
		switch m := c.nodes[name]; {
		case m.silent || m.held:
			c.Errorf("%s changes, although its agent is silent or held\n%v", name, c.log)
		case slices.Contains(d.Update, name) && len(c.listDesired(m)) == 0 && m.selected && c.tuning.DeletionTimestamp.IsZero():
			c.Errorf("%s loses its settings\n%v", name, c.log)
		}
	}
	if len(d.Revert) > 0 && d.Status.Rollout.Stop == nil {
		c.Errorf("%v are reverted without a reason\n%v", d.Revert, c.log)
	}
}

// checkPace checks that no more nodes than maxUnavailable change at the same time.
func (c *simulatedCluster) checkPace(in rollout.Input, d rollout.Decision) {
	c.Helper()
	moving, live := 0, 0
	for _, n := range in.Nodes {
		if n.AgentSilent || n.Held {
			continue
		}
		if !n.Observed && !slices.Contains(d.Status.Rollout.Overdue, n.Name) {
			moving++
		}
		if n.Selected || len(n.Current) > 0 {
			live++
		}
	}
	most, err := intstr.GetScaledValueFromIntOrPercent(c.tuning.Spec.Rollout.MaxUnavailable, live, true)
	if err != nil {
		c.Fatal(err)
	}
	if n := len(d.Update) + len(d.Revert); n > 0 && moving+n > max(1, most) {
		c.Errorf("%d nodes are changing and %d start to, of at most %d\n%v", moving, n, most, c.log)
	}
}

// checkSoak checks that, on each operating system, only the canaries are updated until they
// have had the value for soakSeconds, by a clock that is never wrong.
func (c *simulatedCluster) checkSoak(in rollout.Input, d rollout.Decision) {
	c.Helper()
	canaries := int(*c.tuning.Spec.Rollout.Canaries)
	if d.Status.Rollout.CompletedRevision == c.tuning.Generation {
		return // joining nodes
	}
	for _, os := range []string{"linux", "windows"} {
		good, fresh, soaked := 0, 0, 0
		for _, n := range in.Nodes {
			if n.OS != os || len(n.Desired) == 0 {
				continue
			}
			if hasDesiredValue(n) && !isFailing(n) && n.Current[0].From.Generation > d.Status.Rollout.CompletedRevision {
				good++
			}
			if n.Observed && hasDesiredValue(n) && c.now.Sub(c.nodes[n.Name].settledAt) >= time.Minute {
				soaked++
			}
			if slices.Contains(d.Update, n.Name) {
				fresh++
			}
		}
		if soaked >= canaries {
			c.proved[os] = c.value
		}
		if fresh > 0 && c.proved[os] != c.value && good+fresh > canaries {
			c.Errorf("%s: %d nodes are updated and %d start to be, but %d of %d canaries have soaked\n%v", os, good, fresh, soaked, canaries, c.log)
		}
	}
}

// isFailing reports whether a canary has to be replaced.
func isFailing(n rollout.Node) bool {
	return n.Held || n.AgentSilent && !n.Observed || n.Observed && slices.ContainsFunc(n.Status.Settings,
		func(s v1alpha1.SettingStatus) bool { return s.State == v1alpha1.SettingFailed })
}

func hasDesiredValue(n rollout.Node) bool {
	return len(n.Current) == len(n.Desired) && (len(n.Current) == 0 || n.Current[0].Value == n.Desired[0].Value)
}

// runUntilComplete removes the obstacles that only a user can remove, and reconciles until
// the rollout is complete. Pressure, wrong clocks and failures continue, and if they stop the
// rollout, it is resumed.
func (c *simulatedCluster) runUntilComplete() {
	c.Helper()
	for _, m := range c.nodes {
		m.silent, m.held = false, false
	}
	c.tuning.Spec.Rollout.Paused = false
	c.tuning.Generation++
	c.tuning.Annotations = map[string]string{v1alpha1.AnnotationConfirmRelease: fmt.Sprint(c.tuning.Generation)}
	for range 3000 {
		c.reconcile()
		c.advance(10 * time.Second)
		for _, name := range c.listNames() {
			c.runAgent(c.nodes[name])
		}
		if c.isComplete() {
			return
		}
		if c.tuning.Status.Rollout.Stop != nil {
			c.resumeTuning()
		}
	}
	c.Errorf("the rollout does not complete: %s\n%v", formatDecision(rollout.PlanChanges(c.makeInput())), c.log)
}

func (c *simulatedCluster) isComplete() bool {
	for _, m := range c.nodes {
		if n := (rollout.Node{Current: m.have, Desired: c.listDesired(m)}); !hasDesiredValue(n) || !m.observed {
			return false
		}
	}
	d := rollout.PlanChanges(c.makeInput())
	if !c.tuning.DeletionTimestamp.IsZero() {
		return d.Released
	}
	return d.Status.Rollout.Phase == v1alpha1.RolloutComplete
}

func newCluster(t *testing.T, seed uint64) *simulatedCluster {
	c := &simulatedCluster{T: t, r: rand.New(rand.NewPCG(seed, 5)), now: noon, nodes: map[string]*simulatedNode{}, proved: map[string]int{}}
	c.tuning = newTuning(func(t *v1alpha1.NodeTuning) {
		r := &t.Spec.Rollout
		r.Canaries, r.SoakSeconds, r.BatchSoakSeconds = new(int32(c.r.IntN(4))), new(int32(60)), new(int32(30*c.r.IntN(3)))
		if c.r.IntN(3) == 0 {
			r.OnRegression = v1alpha1.OnRegressionRevert
		}
		r.MaxUnavailable = new(intstr.FromInt32(int32(1 + c.r.IntN(5))))
		if c.r.IntN(2) == 0 {
			r.MaxUnavailable = new(intstr.FromString(fmt.Sprintf("%d%%", 5+c.r.IntN(60))))
		}
	})
	for range 3 + c.r.IntN(25) {
		c.addNode()
	}
	return c
}

// TestEveryHistoryCompletes simulates random histories of a cluster with pressure of other
// causes, wrong clocks, failures, and nodes that are silent or held.
func TestEveryHistoryCompletes(t *testing.T) {
	for seed := range uint64(histories.Count(500)) {
		c := newCluster(t, seed)
		for range 60 {
			c.applyRandomEvent()
			c.reconcile()
		}
		c.runUntilComplete()
		if seed%3 == 0 {
			c.tuning.DeletionTimestamp = &metav1.Time{Time: c.now}
			c.runUntilComplete()
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
