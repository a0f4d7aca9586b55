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
)

// simulatedNode is a node with a simulated agent.
type simulatedNode struct {
	selected bool
	have     []v1alpha1.Setting
	observed bool
	silent   bool
	delay    int // steps until its agent has processed the spec
	status   v1alpha1.PortPressureStatus
}

// simulatedCluster is a simulated cluster with one NodeTuning.
type simulatedCluster struct {
	*testing.T
	r       *rand.Rand
	now     time.Time
	tuning  *v1alpha1.NodeTuning
	nodes   map[string]*simulatedNode
	created int
	value   int
	proved  int // last value with which the canaries have soaked
	log     []string
}

func (c *simulatedCluster) listDesired(m *simulatedNode) []v1alpha1.Setting {
	if !m.selected || !c.tuning.DeletionTimestamp.IsZero() {
		return nil
	}
	return makeSettings(fmt.Sprint(c.value))
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
	c.nodes[fmt.Sprintf("n%03d", c.created)] = &simulatedNode{selected: c.r.IntN(10) > 0, observed: true,
		status: v1alpha1.PortPressureStatus{UsedPercent: new(int32(c.r.IntN(40)))}}
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
		c.pickNode().status.LastPressure = &v1alpha1.Pressure{From: metav1.Time{Time: c.now}}
	}
	for _, name := range c.listNames() {
		c.runAgent(c.nodes[name])
	}
	c.now = c.now.Add(time.Duration(c.r.IntN(90)) * time.Second)
}

func (c *simulatedCluster) editTuning() {
	c.value++
	c.tuning.Generation++
	c.recordLog("edited to %d", c.value)
}

// runAgent runs one step of an agent.
func (c *simulatedCluster) runAgent(m *simulatedNode) {
	if m.silent || m.observed {
		return
	}
	if m.delay--; m.delay > 0 {
		return
	}
	m.observed = true
	m.status.Settings = nil
	for _, s := range m.have {
		state := v1alpha1.SettingApplied
		if c.r.IntN(60) == 0 {
			state = v1alpha1.SettingRefused
		}
		m.status.Settings = append(m.status.Settings, v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, State: state, LastTransitionTime: &metav1.Time{Time: c.now}})
	}
}

func (c *simulatedCluster) makeInput() rollout.Input {
	in := rollout.Input{Budget: -1, Tuning: c.tuning, ClusterNodes: len(c.nodes), Now: c.now}
	for name, m := range c.nodes {
		if want := c.listDesired(m); m.selected && want != nil || len(m.have) > 0 || !m.observed {
			in.Nodes = append(in.Nodes, rollout.Node{Name: name, Selected: m.selected, Desired: want, Current: m.have,
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
	moving, settled := 0, 0
	for _, n := range in.Nodes {
		if !n.Observed && !n.AgentSilent || !n.Observed && len(n.Current) > 0 && hasDesiredValue(n) {
			moving++
		}
		if n.Observed && hasDesiredValue(n) && len(n.Desired) > 0 && !in.Now.Before(findLastTransition(n).Add(time.Minute)) {
			settled++
		}
	}
	most, err := intstr.GetScaledValueFromIntOrPercent(c.tuning.Spec.Rollout.MaxUnavailable, len(in.Nodes), true)
	if err != nil {
		c.Fatal(err)
	}
	if n := len(d.Update) + len(d.Revert); n > 0 && moving+n > most {
		c.Errorf("%d nodes are changing and %d start to, of at most %d\n%v", moving, n, most, c.log)
	}
	fresh := 0 // nodes that get new settings
	for _, name := range d.Update {
		m := c.nodes[name]
		switch {
		case m.silent:
			c.Errorf("%s has a silent agent, but changes\n%v", name, c.log)
		case len(c.listDesired(m)) == 0 && m.selected && c.tuning.DeletionTimestamp.IsZero():
			c.Errorf("%s loses its settings\n%v", name, c.log)
		case len(c.listDesired(m)) > 0:
			fresh++
		}
	}
	canaries := int(*c.tuning.Spec.Rollout.Canaries)
	if settled >= canaries {
		c.proved = c.value
	}
	if fresh > 0 && c.proved != c.value && fresh+countUpdated(in) > canaries {
		c.Errorf("%d nodes are updated, but %d of %d canaries have soaked\n%v", fresh, settled, canaries, c.log)
	}
	if len(d.Revert) > 0 {
		c.Errorf("%v are reverted without a request\n%v", d.Revert, c.log)
	}
}

func countUpdated(in rollout.Input) (n int) {
	for _, node := range in.Nodes {
		if hasDesiredValue(node) && len(node.Desired) > 0 {
			n++
		}
	}
	return n
}

func hasDesiredValue(n rollout.Node) bool {
	return len(n.Current) == len(n.Desired) && (len(n.Current) == 0 || n.Current[0].Value == n.Desired[0].Value)
}

func findLastTransition(n rollout.Node) time.Time {
	var last time.Time
	for _, s := range n.Status.Settings {
		if s.LastTransitionTime.After(last) {
			last = s.LastTransitionTime.Time
		}
	}
	return last
}

// runUntilComplete removes all obstacles, and reconciles until the rollout is complete.
func (c *simulatedCluster) runUntilComplete() {
	c.Helper()
	for _, m := range c.nodes {
		m.silent = false
		m.status.LastPressure = nil
	}
	c.tuning.Spec.Rollout.Paused = false
	c.tuning.Generation++ // resumes a rollout that a regression has stopped
	c.tuning.Annotations = map[string]string{v1alpha1.AnnotationConfirmRelease: fmt.Sprint(c.tuning.Generation)}
	for range 400 {
		c.reconcile()
		c.now = c.now.Add(20 * time.Second)
		for _, m := range c.nodes {
			c.runAgent(m)
		}
		if c.isComplete() {
			return
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
	c := &simulatedCluster{T: t, r: rand.New(rand.NewPCG(seed, 5)), now: noon, nodes: map[string]*simulatedNode{}, proved: -1}
	c.tuning = newTuning(func(t *v1alpha1.NodeTuning) {
		r := &t.Spec.Rollout
		r.Canaries, r.SoakSeconds = new(int32(c.r.IntN(4))), new(int32(60))
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

// TestEveryHistoryCompletes simulates 1,000 random histories of a cluster.
func TestEveryHistoryCompletes(t *testing.T) {
	for seed := range uint64(1000) {
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
