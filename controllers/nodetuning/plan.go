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

// clusterState is what a decision is made from.
type clusterState struct {
	tunings []tuning
	nodes   []*nodeState
	// kindMissing says that the API server has no NodeTunings at all: the kind is not
	// installed. Settings are held then.
	kindMissing bool
}

// tuning is a NodeTuning; one that can't be decoded has its metadata, and its status
// as far as that can be.
type tuning struct {
	v1alpha1.NodeTuning
	object  *unstructured.Unstructured // as it came
	problem string
}

// nodeState is a Node and its PortPressure.
type nodeState struct {
	resolve.Node
	pressure   *v1alpha1.PortPressure // as it came
	spec       v1alpha1.PortPressureSpec
	generation int64
	// agentLabel is the label LabelAgent.
	agentLabel string
	// releaseRequested says that it is to hold nothing: someone has annotated it.
	releaseRequested bool
	// status is the agent's, its times by the API server's clock.
	status *v1alpha1.PortPressureStatus

	current map[string][]v1alpha1.Setting // by NodeTuning
	planned map[string][]v1alpha1.Setting // what changes now, by NodeTuning
	adopted bool                          // have is what the agent says that it holds
}

// isObserved says whether the agent has seen the spec, and has given back what that leaves
// out. What is taken from a released node is about to be written.
func (n *nodeState) isObserved() bool {
	return n.status.ObservedGeneration == n.generation && !hasPendingRestore(n.status) && (!n.releaseRequested || len(n.spec.Settings) == 0)
}

// hasPendingRestore says whether the agent has something to give back: pending, and not wanted.
func hasPendingRestore(s *v1alpha1.PortPressureStatus) bool {
	return slices.ContainsFunc(s.Settings, func(one v1alpha1.SettingStatus) bool {
		return one.State == v1alpha1.SettingPending && one.Desired == nil
	})
}

// hasReported says whether the agent has ever written this object's status.
func (n *nodeState) hasReported() bool { return n.status.ObservedAt != nil }

// writePlan is what to write.
type writePlan struct {
	decisions    map[string]rollout.Decision // by NodeTuning
	changes      []specChange                // by node
	reevaluateAt time.Time                   // when to decide again; zero: no need
}

// specChange is a PortPressure's spec as it is to be.
type specChange struct {
	node *nodeState
	spec v1alpha1.PortPressureSpec
	// causedBy are the NodeTunings whose rollouts have come to this node.
	causedBy []string
}

// planWrites decides. defaults are the thresholds where no NodeTuning sets any.
func planWrites(c clusterState, defaults v1alpha1.Thresholds, now time.Time) writePlan {
	v := resolveState(c)
	p := writePlan{decisions: map[string]rollout.Decision{}}
	for _, t := range v.tunings {
		d := rollout.PlanChanges(v.makeRolloutInput(t, now))
		p.decisions[t.Name] = d
		p.reevaluateAt = pickEarlier(p.reevaluateAt, d.ReevaluateAt)
		for _, n := range d.Update {
			v.nodesByName[n].planSettings(t.Name, v.listDesired(t, v.nodesByName[n]))
		}
		for _, n := range d.Revert {
			v.nodesByName[n].planSettings(t.Name, nil)
		}
	}
	for _, n := range v.nodes {
		spec := v1alpha1.PortPressureSpec{Settings: v.mergeSettings(n), Thresholds: v.thresholds(n, defaults)}
		if n.planned == nil && !n.adopted && !n.releaseRequested && spec.Thresholds == n.spec.Thresholds {
			continue
		}
		if !equalSpecs(spec, n.spec) {
			p.changes = append(p.changes, specChange{n, spec, slices.Sorted(maps.Keys(n.planned))})
		}
	}
	return p
}

func (n *nodeState) planSettings(tuning string, settings []v1alpha1.Setting) {
	if n.planned == nil {
		n.planned = map[string][]v1alpha1.Setting{}
	}
	n.planned[tuning] = settings
}

// resolvedState is a cluster with what follows from it.
type resolvedState struct {
	clusterState
	tunings       []*tuning // those with precedence first
	nodesByName   map[string]*nodeState
	resolved      resolve.Result
	hasUnreadable bool // by a NodeTuning that can't be read
}

func resolveState(c clusterState) *resolvedState {
	v := &resolvedState{clusterState: c, nodesByName: map[string]*nodeState{}}
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
		v.nodesByName[n.Name] = n
		if !n.releaseRequested {
			nodes = append(nodes, n.Node)
		}
	}
	v.resolved = resolve.ResolveTunings(readable, nodes)
	for _, t := range v.tunings {
		t.problem = cmp.Or(t.problem, v.resolved.Problems[t.Name])
		v.hasUnreadable = v.hasUnreadable || t.problem != ""
	}
	for _, n := range c.nodes {
		v.findCurrentSettings(n)
	}
	return v
}

// makeRolloutInput is what the rollout of t is decided from. A node that is in change counts,
// whoever changes it: it may be on its way out of t.
func (v *resolvedState) makeRolloutInput(t *tuning, now time.Time) rollout.Input {
	in := rollout.Input{Tuning: &t.NodeTuning, ClusterNodes: len(v.nodes), Conflicts: v.resolved.Conflicts[t.Name], Problem: t.problem, Now: now}
	letGo := !t.DeletionTimestamp.IsZero() && rollout.IsReleaseConfirmed(&t.NodeTuning)
	for _, n := range v.nodes {
		have := n.current[t.Name]
		_, selected := v.resolved.Desired[t.Name][n.Name]
		busy := !n.isObserved() && n.spec.Settings != nil
		nobody := n.agentLabel == v1alpha1.AgentNone && len(have) == 0 // who could hold anything
		if nobody || !selected && len(have) == 0 && !busy {
			continue
		}
		silent := n.agentLabel == v1alpha1.AgentSilent || n.agentLabel == v1alpha1.AgentNone || !n.hasReported()
		in.Nodes = append(in.Nodes, rollout.Node{
			Name: n.Name, Selected: selected, Desired: v.listDesired(t, n), Current: have,
			Observed: n.isObserved(), AgentSilent: silent && (!letGo || len(have) == 0), Status: n.status,
		})
	}
	return in
}

// thresholds are those of n: what a NodeTuning leaves out is the default.
func (v *resolvedState) thresholds(n *nodeState, defaults v1alpha1.Thresholds) v1alpha1.Thresholds {
	t, ok := v.resolved.Thresholds[n.Name]
	switch {
	case !ok && v.hasUnreadable:
		return n.spec.Thresholds
	case !ok:
		return defaults
	case t.WarningPercent == 0:
		t.WarningPercent = min(defaults.WarningPercent, t.CriticalPercent)
	case t.CriticalPercent == 0:
		t.CriticalPercent = max(defaults.CriticalPercent, t.WarningPercent)
	}
	return t
}

// pickEarlier is the time that comes first; zero is never.
func pickEarlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
