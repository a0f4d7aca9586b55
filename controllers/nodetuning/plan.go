package nodetuning

import (
	"cmp"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/resolve"
	"portreeve.io/portreeve/controllers/internal/rollout"
	"portreeve.io/portreeve/internal/settings"
)

// clusterState is the input of planWrites.
type clusterState struct {
	tunings []tuning
	nodes   []*nodeState
	// kindMissing reports whether the API server does not serve NodeTuning. Nodes keep
	// their current settings then.
	kindMissing bool
}

// tuning is a NodeTuning. One that cannot be decoded has only metadata and, if that can
// be decoded, status.
type tuning struct {
	v1alpha1.NodeTuning
	object  *unstructured.Unstructured // as read
	problem string
}

// nodeState is the state of a Node and its PortPressure.
type nodeState struct {
	resolve.Node
	pressure   *v1alpha1.PortPressure // as read
	spec       v1alpha1.PortPressureSpec
	generation int64
	// createdAt is when the PortPressure was created, by the API server's clock.
	createdAt time.Time
	// agentLabel is the value of LabelAgent.
	agentLabel string
	// releaseRequested reports whether an annotation requests the release of all settings.
	releaseRequested bool
	// status is the agent's status, with times by the API server's clock.
	status *v1alpha1.PortPressureStatus

	current map[string][]v1alpha1.Setting // by NodeTuning
	planned map[string][]v1alpha1.Setting // changes to make now, by NodeTuning
	adopted bool                          // current comes from the agent's status
}

// isObserved reports whether the agent has processed the spec and restored the settings
// that it no longer contains. A release that is not written to the spec yet is not
// observed.
func (n *nodeState) isObserved() bool {
	return n.status.ObservedGeneration == n.generation && !hasPendingRestore(n.status) &&
		(!n.releaseRequested || len(n.spec.Settings) == 0)
}

// hasPendingRestore reports whether the agent still has to restore a setting: its state
// is Pending, without a desired value.
func hasPendingRestore(s *v1alpha1.PortPressureStatus) bool {
	return slices.ContainsFunc(s.Settings, func(one v1alpha1.SettingStatus) bool {
		return one.State == v1alpha1.SettingPending && one.Desired == nil
	})
}

// hasReported reports whether the agent has ever written this object's status.
func (n *nodeState) hasReported() bool { return n.status.ObservedAt != nil }

// writePlan lists the objects to write.
type writePlan struct {
	decisions    map[string]rollout.Decision // by NodeTuning
	changes      []specChange                // by node
	reevaluateAt time.Time                   // when to plan again, zero for never
}

// specChange is a new spec for a PortPressure.
type specChange struct {
	node *nodeState
	spec v1alpha1.PortPressureSpec
	// causedBy are the NodeTunings whose rollouts update this node.
	causedBy []string
}

// planWrites computes what to write. defaults are the thresholds of nodes for which no
// NodeTuning sets any.
func planWrites(c clusterState, defaults v1alpha1.Thresholds, now time.Time) writePlan {
	v := resolveState(c)
	p := writePlan{decisions: map[string]rollout.Decision{}}
	for _, t := range v.tunings {
		in := v.makeRolloutInput(t, now)
		d := rollout.PlanChanges(in)
		p.decisions[t.Name] = d
		p.reevaluateAt = pickEarlier(p.reevaluateAt, d.ReevaluateAt)
		for _, n := range d.Update {
			v.nodesByName[n].planSettings(t.Name, v.listDesired(t, v.nodesByName[n]))
		}
		for _, n := range d.Revert {
			v.nodesByName[n].planSettings(t.Name, in.Previous[n])
		}
	}
	for _, n := range v.nodes {
		spec := v1alpha1.PortPressureSpec{Settings: v.mergeSettings(n), Thresholds: v.findThresholds(n, defaults)}
		if n.planned == nil && !n.adopted && !n.releaseRequested && spec.Thresholds == n.spec.Thresholds {
			continue
		}
		if !equalSpecs(spec, n.spec) {
			p.changes = append(p.changes, specChange{node: n, spec: spec, causedBy: slices.Sorted(maps.Keys(n.planned))})
		}
	}
	return p
}

// planSettings sets the settings that n gets of a NodeTuning.
func (n *nodeState) planSettings(tuning string, settings []v1alpha1.Setting) {
	if n.planned == nil {
		n.planned = map[string][]v1alpha1.Setting{}
	}
	n.planned[tuning] = settings
}

// resolvedState is a clusterState with its resolved settings.
type resolvedState struct {
	clusterState
	tunings       []*tuning // in order of precedence
	nodesByName   map[string]*nodeState
	resolved      resolve.Result
	hasUnreadable bool // at least one NodeTuning is invalid
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
	v.resolved = resolve.ComputeDesired(readable, nodes)
	for _, t := range v.tunings {
		t.problem = cmp.Or(t.problem, v.resolved.Problems[t.Name])
		v.hasUnreadable = v.hasUnreadable || t.problem != ""
	}
	for _, n := range c.nodes {
		v.findCurrentSettings(n)
	}
	return v
}

// makeRolloutInput returns the input for the rollout of t. It includes nodes that are
// changing because of any NodeTuning, since they may be losing settings of t.
func (v *resolvedState) makeRolloutInput(t *tuning, now time.Time) rollout.Input {
	in := rollout.Input{
		Tuning: &t.NodeTuning, ClusterNodes: len(v.nodes),
		Conflicts: v.resolved.Conflicts[t.Name], Problem: t.problem, Budget: -1, Now: now,
	}
	canary := findCanarySelector(&t.Spec.Rollout)
	confirmed := !t.DeletionTimestamp.IsZero() && rollout.IsReleaseConfirmed(&t.NodeTuning)
	for _, n := range v.nodes {
		current := n.current[t.Name]
		_, selected := v.resolved.Desired[t.Name][n.Name]
		changing := !n.isObserved() && n.spec.Settings != nil
		noAgent := n.agentLabel == v1alpha1.AgentNone && len(current) == 0
		if noAgent || !selected && len(current) == 0 && !changing {
			continue
		}
		silent := n.agentLabel == v1alpha1.AgentSilent || n.agentLabel == v1alpha1.AgentNone || !n.hasReported()
		in.Nodes = append(in.Nodes, rollout.Node{
			Name: n.Name, OS: string(n.OS), Domain: n.Labels[t.Spec.Rollout.TopologyKey], CanaryCandidate: canary.Matches(labels.Set(n.Labels)),
			CreatedAt: n.createdAt, Selected: selected, Desired: v.listDesired(t, n), Current: current,
			Observed: n.isObserved(), AgentSilent: silent && (!confirmed || len(current) == 0), Status: n.status,
		})
	}
	return in
}

// findCanarySelector returns the selector of canaries. It matches every node if there is
// none, and no node if it is invalid, which the API rejects.
func findCanarySelector(r *v1alpha1.Rollout) labels.Selector {
	if r.CanarySelector == nil {
		return labels.Everything()
	}
	selector, err := metav1.LabelSelectorAsSelector(r.CanarySelector)
	if err != nil {
		return labels.Nothing()
	}
	return selector
}

// findThresholds returns the thresholds of n, completed by the defaults. While a
// NodeTuning is invalid, nodes for which no other sets thresholds keep theirs.
func (v *resolvedState) findThresholds(n *nodeState, defaults v1alpha1.Thresholds) v1alpha1.Thresholds {
	t, ok := v.resolved.Thresholds[n.Name]
	if !ok && v.hasUnreadable {
		return n.spec.Thresholds
	}
	return t.WithDefaultsFrom(defaults)
}

// pickEarlier returns the earlier time. Zero means never.
func pickEarlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
