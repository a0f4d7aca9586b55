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

// machine is a node whose agent is simulated.
type machine struct {
	selected bool
	have     []v1alpha1.Setting
	observed bool
	silent   bool
	delay    int // looks until its agent has done what it was asked
	status   v1alpha1.PortPressureStatus
}

// cluster is a simulated cluster with one NodeTuning.
type cluster struct {
	*testing.T
	r        *rand.Rand
	now      time.Time
	tuning   *v1alpha1.NodeTuning
	machines map[string]*machine
	made     int
	value    int
	proved   int // the last value that the canaries have soaked with
	log      []string
}

func (c *cluster) want(m *machine) []v1alpha1.Setting {
	if !m.selected || !c.tuning.DeletionTimestamp.IsZero() {
		return nil
	}
	return wish(fmt.Sprint(c.value))
}

func (c *cluster) note(format string, args ...any) {
	c.log = append(c.log, fmt.Sprintf(format, args...))
}

func (c *cluster) names() []string { return slices.Sorted(maps.Keys(c.machines)) }

func (c *cluster) any() *machine {
	names := c.names()
	return c.machines[names[c.r.IntN(len(names))]]
}

func (c *cluster) join() {
	c.made++
	c.machines[fmt.Sprintf("n%03d", c.made)] = &machine{selected: c.r.IntN(10) > 0, observed: true,
		status: v1alpha1.PortPressureStatus{UsedPercent: new(int32(c.r.IntN(40)))}}
}

// happen is one thing that happens to a cluster.
func (c *cluster) happen() {
	switch k := c.r.IntN(100); {
	case k < 5:
		c.join()
		c.note("a node joins")
	case k < 8 && len(c.machines) > 3:
		names := c.names()
		gone := names[c.r.IntN(len(names))]
		delete(c.machines, gone)
		c.note("%s leaves", gone)
	case k < 12:
		m := c.any()
		m.selected = !m.selected
		c.note("a label changes")
	case k < 16:
		c.edit()
	case k < 19:
		c.tuning.Spec.Rollout.Paused = !c.tuning.Spec.Rollout.Paused
		c.tuning.Generation++
		c.note("paused: %v", c.tuning.Spec.Rollout.Paused)
	case k < 24:
		m := c.any()
		m.silent = !m.silent
	case k < 28:
		c.any().status.LastPressure = &v1alpha1.Pressure{From: metav1.Time{Time: c.now}}
	}
	for _, name := range c.names() {
		c.tick(c.machines[name])
	}
	c.now = c.now.Add(time.Duration(c.r.IntN(90)) * time.Second)
}

func (c *cluster) edit() {
	c.value++
	c.tuning.Generation++
	c.note("edited to %d", c.value)
}

// tick lets an agent work.
func (c *cluster) tick(m *machine) {
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

func (c *cluster) input() rollout.Input {
	in := rollout.Input{Tuning: c.tuning, ClusterNodes: len(c.machines), Now: c.now}
	for name, m := range c.machines {
		if want := c.want(m); m.selected && want != nil || len(m.have) > 0 || !m.observed {
			in.Nodes = append(in.Nodes, rollout.Node{Name: name, Selected: m.selected, Desired: want, Current: m.have,
				Observed: m.observed, AgentSilent: m.silent, Status: &m.status})
		}
	}
	return in
}

// decide decides and does it. A controller may die before it has written the status.
func (c *cluster) decide() {
	in := c.input()
	d := rollout.PlanChanges(in)
	c.check(in, d)
	for _, name := range slices.Concat(d.Update, d.Revert) {
		m := c.machines[name]
		m.have = nil
		if slices.Contains(d.Update, name) {
			m.have = c.want(m)
		}
		m.observed, m.delay = false, 1+c.r.IntN(4)
		c.note("%s gets %v", name, m.have)
		if c.r.IntN(20) == 0 {
			c.note("the controller dies")
			return
		}
	}
	if c.r.IntN(20) > 0 {
		c.tuning.Status = d.Status
	}
}

func (c *cluster) check(in rollout.Input, d rollout.Decision) {
	c.Helper()
	moving, settled := 0, 0
	for _, n := range in.Nodes {
		if !n.Observed && !n.AgentSilent || !n.Observed && len(n.Current) > 0 && sameValue(n) {
			moving++
		}
		if n.Observed && sameValue(n) && len(n.Desired) > 0 && !in.Now.Before(settledAt(n).Add(time.Minute)) {
			settled++
		}
	}
	most, err := intstr.GetScaledValueFromIntOrPercent(c.tuning.Spec.Rollout.MaxUnavailable, len(in.Nodes), true)
	if err != nil {
		c.Fatal(err)
	}
	if n := len(d.Update) + len(d.Revert); n > 0 && moving+n > most {
		c.Errorf("%d in change and %d more, of at most %d\n%v", moving, n, most, c.log)
	}
	fresh := 0 // nodes that get something new
	for _, name := range d.Update {
		m := c.machines[name]
		switch {
		case m.silent:
			c.Errorf("%s is silent, and gets a change\n%v", name, c.log)
		case len(c.want(m)) == 0 && m.selected && c.tuning.DeletionTimestamp.IsZero():
			c.Errorf("%s loses what it has\n%v", name, c.log)
		case len(c.want(m)) > 0:
			fresh++
		}
	}
	canaries := int(*c.tuning.Spec.Rollout.Canaries)
	if settled >= canaries {
		c.proved = c.value
	}
	if fresh > 0 && c.proved != c.value && fresh+changed(in) > canaries {
		c.Errorf("%d get it, and %d of %d canaries have soaked\n%v", fresh, settled, canaries, c.log)
	}
	if len(d.Revert) > 0 {
		c.Errorf("%v lose it, and nobody asked for that\n%v", d.Revert, c.log)
	}
}

func changed(in rollout.Input) (n int) {
	for _, node := range in.Nodes {
		if sameValue(node) && len(node.Desired) > 0 {
			n++
		}
	}
	return n
}

func sameValue(n rollout.Node) bool {
	return len(n.Current) == len(n.Desired) && (len(n.Current) == 0 || n.Current[0].Value == n.Desired[0].Value)
}

func settledAt(n rollout.Node) time.Time {
	var last time.Time
	for _, s := range n.Status.Settings {
		if s.LastTransitionTime.After(last) {
			last = s.LastTransitionTime.Time
		}
	}
	return last
}

// converge lets everything be well from now on, and waits for the end.
func (c *cluster) converge() {
	c.Helper()
	for _, m := range c.machines {
		m.silent = false
		m.status.LastPressure = nil
	}
	c.tuning.Spec.Rollout.Paused = false
	c.tuning.Generation++ // whatever a regression has stopped goes on
	c.tuning.Annotations = map[string]string{rollout.AnnotationConfirm: fmt.Sprint(c.tuning.Generation)}
	for range 400 {
		c.decide()
		c.now = c.now.Add(20 * time.Second)
		for _, m := range c.machines {
			c.tick(m)
		}
		if c.ended() {
			return
		}
	}
	c.Errorf("it does not end: %s\n%v", line(rollout.PlanChanges(c.input())), c.log)
}

func (c *cluster) ended() bool {
	for _, m := range c.machines {
		if n := (rollout.Node{Current: m.have, Desired: c.want(m)}); !sameValue(n) || !m.observed {
			return false
		}
	}
	d := rollout.PlanChanges(c.input())
	if !c.tuning.DeletionTimestamp.IsZero() {
		return d.Released
	}
	return d.Status.Rollout.Phase == v1alpha1.RolloutComplete
}

func newCluster(t *testing.T, seed uint64) *cluster {
	c := &cluster{T: t, r: rand.New(rand.NewPCG(seed, 5)), now: noon, machines: map[string]*machine{}, proved: -1}
	c.tuning = tuning(func(t *v1alpha1.NodeTuning) {
		r := &t.Spec.Rollout
		r.Canaries, r.SoakSeconds = new(int32(c.r.IntN(4))), new(int32(60))
		r.MaxUnavailable = new(intstr.FromInt32(int32(1 + c.r.IntN(5))))
		if c.r.IntN(2) == 0 {
			r.MaxUnavailable = new(intstr.FromString(fmt.Sprintf("%d%%", 5+c.r.IntN(60))))
		}
	})
	for range 3 + c.r.IntN(25) {
		c.join()
	}
	return c
}

// TestAnySequenceEndsRight plays 1,000 histories of a cluster.
func TestAnySequenceEndsRight(t *testing.T) {
	for seed := range uint64(1000) {
		c := newCluster(t, seed)
		for range 60 {
			c.happen()
			c.decide()
		}
		c.converge()
		if seed%3 == 0 {
			c.tuning.DeletionTimestamp = &metav1.Time{Time: c.now}
			c.converge()
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
