package nodetuning

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/resolve"
	"portreeve.io/portreeve/controllers/internal/rollout"
	"portreeve.io/portreeve/internal/settings"
)

// cluster is what a decision is made from.
type cluster struct {
	tunings []tuning
	nodes   []*node
	// untuned says that the API server has no NodeTunings at all: the kind is not
	// installed. Settings are held then.
	untuned bool
}

// tuning is a NodeTuning; one that can't be decoded has its metadata, and its status
// as far as that can be.
type tuning struct {
	v1alpha1.NodeTuning
	object  *unstructured.Unstructured // as it came
	problem string
}

// node is a Node and its PortPressure.
type node struct {
	resolve.Node
	pressure   *v1alpha1.PortPressure // as it came
	spec       v1alpha1.PortPressureSpec
	generation int64
	// agent is the label LabelAgent.
	agent string
	// released says that it is to hold nothing: someone has annotated it.
	released bool
	// status is the agent's, its times by the API server's clock.
	status *v1alpha1.PortPressureStatus

	have    map[string][]v1alpha1.Setting // by NodeTuning
	next    map[string][]v1alpha1.Setting // what changes now, by NodeTuning
	adopted bool                          // have is what the agent says that it holds
}

// observed says whether the agent has seen the spec, and has given back what that leaves
// out. What is taken from a released node is about to be written.
func (n *node) observed() bool {
	return n.status.ObservedGeneration == n.generation && !leaving(n.status) && (!n.released || len(n.spec.Settings) == 0)
}

// leaving says whether the agent has something to give back: pending, and not wanted.
func leaving(s *v1alpha1.PortPressureStatus) bool {
	return slices.ContainsFunc(s.Settings, func(one v1alpha1.SettingStatus) bool {
		return one.State == v1alpha1.SettingPending && one.Desired == nil
	})
}

// reported says whether the agent has ever written this object's status.
func (n *node) reported() bool { return n.status.ObservedAt != nil }

// plan is what to write.
type plan struct {
	decisions map[string]rollout.Decision // by NodeTuning
	changes   []change                    // by node
	next      time.Time                   // when to decide again; zero: no need
}

// change is a PortPressure's spec as it is to be.
type change struct {
	node *node
	spec v1alpha1.PortPressureSpec
	// because are the NodeTunings whose rollouts have come to this node.
	because []string
}

// decide decides. defaults are the thresholds where no NodeTuning sets any.
func decide(c cluster, defaults v1alpha1.Thresholds, now time.Time) plan {
	v := newView(c)
	p := plan{decisions: map[string]rollout.Decision{}}
	for _, t := range v.tunings {
		d := rollout.Decide(v.input(t, now))
		p.decisions[t.Name] = d
		p.next = earliest(p.next, d.Next)
		for _, n := range d.Change {
			v.byName[n].change(t.Name, v.want(t, v.byName[n]))
		}
		for _, n := range d.Take {
			v.byName[n].change(t.Name, nil)
		}
	}
	for _, n := range v.nodes {
		spec := v1alpha1.PortPressureSpec{Settings: v.settings(n), Thresholds: v.thresholds(n, defaults)}
		if n.next == nil && !n.adopted && !n.released && spec.Thresholds == n.spec.Thresholds {
			continue
		}
		if !same(spec, n.spec) {
			p.changes = append(p.changes, change{n, spec, slices.Sorted(maps.Keys(n.next))})
		}
	}
	return p
}

func (n *node) change(tuning string, settings []v1alpha1.Setting) {
	if n.next == nil {
		n.next = map[string][]v1alpha1.Setting{}
	}
	n.next[tuning] = settings
}

// view is a cluster with what follows from it.
type view struct {
	cluster
	tunings []*tuning // those with precedence first
	byName  map[string]*node
	result  resolve.Result
	held    bool // by a NodeTuning that can't be read
}

func newView(c cluster) *view {
	v := &view{cluster: c, byName: map[string]*node{}}
	var readable []v1alpha1.NodeTuning
	for i := range c.tunings {
		t := &c.tunings[i]
		v.tunings = append(v.tunings, t)
		if t.problem != "" {
			continue
		}
		readable = append(readable, t.NodeTuning)
	}
	slices.SortFunc(v.tunings, func(a, b *tuning) int { return settings.CompareTunings(&a.NodeTuning, &b.NodeTuning) })
	nodes := make([]resolve.Node, 0, len(c.nodes))
	for _, n := range c.nodes {
		v.byName[n.Name] = n
		if !n.released {
			nodes = append(nodes, n.Node)
		}
	}
	v.result = resolve.ResolveTunings(readable, nodes)
	for _, t := range v.tunings {
		t.problem = cmp.Or(t.problem, v.result.Problems[t.Name])
		v.held = v.held || t.problem != ""
	}
	for _, n := range c.nodes {
		v.take(n)
	}
	return v
}

// input is what the rollout of t is decided from. A node that is in change counts,
// whoever changes it: it may be on its way out of t.
func (v *view) input(t *tuning, now time.Time) rollout.Input {
	in := rollout.Input{Tuning: &t.NodeTuning, ClusterNodes: len(v.nodes), Conflicts: v.result.Conflicts[t.Name], Problem: t.problem, Now: now}
	letGo := !t.DeletionTimestamp.IsZero() && rollout.Confirmed(&t.NodeTuning)
	for _, n := range v.nodes {
		have := n.have[t.Name]
		_, selected := v.result.Desired[t.Name][n.Name]
		busy := !n.observed() && n.spec.Settings != nil
		nobody := n.agent == v1alpha1.AgentNone && len(have) == 0 // who could hold anything
		if nobody || !selected && len(have) == 0 && !busy {
			continue
		}
		silent := n.agent == v1alpha1.AgentSilent || n.agent == v1alpha1.AgentNone || !n.reported()
		in.Nodes = append(in.Nodes, rollout.Node{
			Name: n.Name, Selected: selected, Want: v.want(t, n), Have: have,
			Observed: n.observed(), Silent: silent && (!letGo || len(have) == 0), Status: n.status,
		})
	}
	return in
}

// thresholds are those of n: what a NodeTuning leaves out is the default.
func (v *view) thresholds(n *node, defaults v1alpha1.Thresholds) v1alpha1.Thresholds {
	t, ok := v.result.Thresholds[n.Name]
	if !ok && v.held {
		return n.spec.Thresholds
	}
	return t.WithDefaultsFrom(defaults)
}

// earliest is the time that comes first; zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
