package nodetuning

import (
	"cmp"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/brake"
	"portreeve.io/portreeve/controllers/internal/pace"
	"portreeve.io/portreeve/controllers/internal/resolve"
	"portreeve.io/portreeve/controllers/internal/rollout"
	"portreeve.io/portreeve/internal/settings"
)

// clusterState is the input of planWrites.
type clusterState struct {
	tunings []tuning
	nodes   []*nodeState
	// unregistered are the nodes that have no PortPressure yet.
	unregistered []resolve.Node
	// kindMissing reports whether the API server does not serve NodeTuning. Nodes keep
	// their current settings then.
	kindMissing bool
	// kindTerminating reports whether the CRD of NodeTuning is being deleted, and all
	// NodeTunings with it. Nodes keep their current settings then.
	kindTerminating bool
	// pace limits all NodeTunings together. notReady is the number of nodes that are not
	// ready, if pace uses it.
	pace     pace.Config
	notReady int
	// revisions has the kept specs of each NodeTuning by its UID, the oldest first.
	revisions map[types.UID][]revision
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
	// held reports whether an annotation stops every change.
	held bool
	// released records which NodeTunings the node lost settings of.
	released releaseRecords
	// status is the agent's status, with times by the API server's clock.
	status *v1alpha1.PortPressureStatus

	current map[string][]v1alpha1.Setting // by NodeTuning
	planned map[string][]v1alpha1.Setting // changes to make now, by NodeTuning
	// deliberate are the NodeTunings whose planned losses a user or a regression caused.
	deliberate map[string]bool
	adopted    bool // current comes from the agent's status

	// These are computed once, because each NodeTuning needs them.
	observed   bool   // isObserved
	obstacle   string // explainObstacle
	unrestored string // explainUnrestored
}

// isObserved reports whether the agent has processed the spec and restored the settings
// that it no longer contains. A release that is not written to the spec yet is not
// observed.
func (n *nodeState) isObserved() bool {
	return n.status.ObservedGeneration == n.generation && !hasPendingRestore(n.status) &&
		(!n.releaseRequested || len(n.spec.Settings) == 0)
}

// isChanging reports whether the agent still has to process the spec, and is able to.
func (n *nodeState) isChanging() bool {
	return n.spec.Settings != nil && n.status.ObservedGeneration != n.generation && n.obstacle == ""
}

// explainObstacle returns why the agent cannot change settings now, an empty string if it
// can.
func (n *nodeState) explainObstacle() string {
	switch {
	case n.held:
		return "the annotation " + v1alpha1.AnnotationHold + " stops every change"
	case n.agentLabel == v1alpha1.AgentSilent:
		return "its agent is silent"
	case n.agentLabel == v1alpha1.AgentNone:
		return "it has no agent"
	case !n.hasReported():
		return "its agent has never reported"
	}
	return ""
}

// isSilent reports whether the agent does not report.
func (n *nodeState) isSilent() bool {
	return n.agentLabel == v1alpha1.AgentSilent || n.agentLabel == v1alpha1.AgentNone || !n.hasReported()
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
	orphaned     map[string]int              // number of orphaned settings by node
	reevaluateAt time.Time                   // when to plan again, zero for never
}

// specChange is a new spec for a PortPressure.
type specChange struct {
	node *nodeState
	spec v1alpha1.PortPressureSpec
	// released is the new value of AnnotationReleased.
	released string
	// causedBy are the NodeTunings whose rollouts update this node.
	causedBy []string
}

// planWrites computes what to write. defaults are the thresholds of nodes for which no
// NodeTuning sets any.
func planWrites(c clusterState, defaults v1alpha1.Thresholds, now time.Time) writePlan {
	p := writePlan{decisions: map[string]rollout.Decision{}, orphaned: map[string]int{}}
	if c.kindTerminating {
		return p
	}
	v := resolveState(c, now)
	budget := v.newPassBudget()
	blocked := brake.Evaluate(v.makeBrakeInput())
	for _, t := range v.tunings {
		in := v.makeRolloutInput(t)
		in.Budget, in.Brake = budget.countRemaining(in.Nodes), blocked[t.Name]
		if in.Pause = v.pause; in.Pause != "" {
			in.Budget = 0
		}
		d := rollout.PlanChanges(in)
		budget.takeChanges(in, &d)
		p.decisions[t.Name] = d
		p.reevaluateAt = pickEarlier(p.reevaluateAt, d.ReevaluateAt)
		deliberate := !t.DeletionTimestamp.IsZero() || rollout.IsReleaseConfirmed(&t.NodeTuning)
		for _, name := range d.Update {
			n := v.nodesByName[name]
			desired, _ := v.listFitting(t, n)
			n.planSettings(t.Name, desired, deliberate)
		}
		for _, n := range d.Revert {
			v.nodesByName[n].planSettings(t.Name, in.Previous[n], true)
		}
	}
	for _, n := range v.nodes {
		if change, changes := v.planNode(n, defaults); changes {
			p.changes = append(p.changes, change)
		}
		if count := v.countOrphaned(n); count > 0 {
			p.orphaned[n.Name] = count
		}
	}
	return p
}

// planNode returns the new spec of n, and whether it differs from the current one.
func (v *resolvedState) planNode(n *nodeState, defaults v1alpha1.Thresholds) (specChange, bool) {
	spec := v1alpha1.PortPressureSpec{Settings: n.spec.Settings, Thresholds: v.findThresholds(n, defaults)}
	if n.planned == nil && !n.adopted && !n.releaseRequested {
		if spec.Thresholds == n.spec.Thresholds {
			return specChange{}, false
		}
	} else {
		spec.Settings = v.mergeSettings(n)
	}
	if equalSpecs(spec, n.spec) {
		return specChange{}, false
	}
	released := v.updateRecords(n, spec.Settings)
	return specChange{node: n, spec: spec, released: released.String(), causedBy: slices.Sorted(maps.Keys(n.planned))}, true
}

// planSettings sets the settings that n gets of a NodeTuning. deliberate losses are not
// counted by the brake.
func (n *nodeState) planSettings(tuning string, settings []v1alpha1.Setting, deliberate bool) {
	if n.planned == nil {
		n.planned, n.deliberate = map[string][]v1alpha1.Setting{}, map[string]bool{}
	}
	n.planned[tuning], n.deliberate[tuning] = settings, deliberate
}

// listOf returns the settings that n has of a NodeTuning after the changes planned so far.
func (n *nodeState) listOf(tuning string) []v1alpha1.Setting {
	if list, changes := n.planned[tuning]; changes {
		return list
	}
	return n.current[tuning]
}

// resolvedState is a clusterState with its resolved settings.
type resolvedState struct {
	clusterState
	now           time.Time
	tunings       []*tuning // in order of precedence
	tuningsByName map[string]*tuning
	nodesByName   map[string]*nodeState
	resolved      resolve.Result
	hasUnreadable bool   // at least one NodeTuning is invalid
	pause         string // why all rollouts are stopped, empty if they are not
}

func resolveState(c clusterState, now time.Time) *resolvedState {
	v := &resolvedState{
		clusterState: c, now: now, tuningsByName: map[string]*tuning{}, nodesByName: make(map[string]*nodeState, len(c.nodes)),
		pause: c.pace.ExplainPause(len(c.nodes), c.notReady),
	}
	for i := range c.tunings {
		t := &c.tunings[i]
		v.tunings = append(v.tunings, t)
		v.tuningsByName[t.Name] = t
	}
	slices.SortFunc(v.tunings, func(a, b *tuning) int { return settings.CompareTunings(&a.NodeTuning, &b.NodeTuning) })
	for _, n := range c.nodes {
		v.nodesByName[n.Name] = n
	}
	v.resolved = v.resolveSettings(func(t *tuning) v1alpha1.NodeTuning { return t.NodeTuning })
	for _, t := range v.tunings {
		t.problem = cmp.Or(t.problem, v.resolved.Problems[t.Name])
		v.hasUnreadable = v.hasUnreadable || t.problem != ""
	}
	for _, n := range c.nodes {
		v.findCurrentSettings(n)
		n.observed, n.obstacle, n.unrestored = n.isObserved(), n.explainObstacle(), n.explainUnrestored()
	}
	return v
}

// resolveSettings computes the desired settings from the given version of each readable
// NodeTuning.
func (v *resolvedState) resolveSettings(pickVersion func(*tuning) v1alpha1.NodeTuning) resolve.Result {
	var readable []v1alpha1.NodeTuning
	for _, t := range v.tunings {
		if t.problem == "" {
			readable = append(readable, pickVersion(t))
		}
	}
	nodes := make([]resolve.Node, 0, len(v.nodes))
	for _, n := range v.nodes {
		if !n.releaseRequested {
			nodes = append(nodes, n.Node)
		}
	}
	return resolve.ComputeDesired(readable, nodes)
}

// makeRolloutInput returns the input for the rollout of t: the nodes that it selects, that
// have its settings, or that still have to restore some.
func (v *resolvedState) makeRolloutInput(t *tuning) rollout.Input {
	in := rollout.Input{
		Tuning: &t.NodeTuning, Conflicts: v.resolved.Conflicts[t.Name], Previews: v.resolved.Previews[t.Name],
		Problem: t.problem, Previous: v.listPrevious(t), Now: v.now,
		Nodes: make([]rollout.Node, 0, v.countNodes(t)),
	}
	canary := findCanarySelector(&t.Spec.Rollout)
	confirmed := !t.DeletionTimestamp.IsZero() && rollout.IsReleaseConfirmed(&t.NodeTuning)
	var unfit []string
	for _, n := range v.nodes {
		current := n.current[t.Name]
		_, selected := v.resolved.Desired(t.Name, n.Name)
		restoring, obstacle := v.findRestore(t, n)
		noAgent := n.agentLabel == v1alpha1.AgentNone && len(current) == 0
		if noAgent && !restoring || !selected && len(current) == 0 && !restoring {
			continue
		}
		desired, fits := v.listFitting(t, n)
		if !fits {
			unfit = append(unfit, n.Name)
		}
		// A node that changes anyway in this pass may change for t as well.
		joinsChange := n.planned != nil && n.observed && !rollout.EqualSettings(current, desired)
		letsGo := confirmed && len(current) > 0 // the agent restores the original values when it can
		in.Nodes = append(in.Nodes, rollout.Node{
			Name: n.Name, OS: string(n.OS), Domain: n.Labels[t.Spec.Rollout.TopologyKey], CanaryCandidate: canary.Matches(labels.Set(n.Labels)),
			CreatedAt: n.createdAt, Selected: selected, Desired: desired, Current: current,
			Restoring: restoring && (!confirmed || obstacle == ""), Obstacle: obstacle, Held: n.held && !letsGo,
			Observed: n.observed && (n.planned == nil || joinsChange), AgentSilent: n.isSilent() && !letsGo, Status: n.status,
		})
	}
	in.Nodes = append(in.Nodes, v.listUnregistered(t, confirmed)...)
	in.Refusal = formatRefusal(unfit)
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

// countNodes returns the number of nodes that t selects or that have its settings.
func (v *resolvedState) countNodes(t *tuning) (count int) {
	for _, n := range v.nodes {
		if _, selected := v.resolved.Desired(t.Name, n.Name); selected || len(n.current[t.Name]) > 0 {
			count++
		}
	}
	return count
}

// findThresholds returns the thresholds of n, completed by the defaults. While a
// NodeTuning is invalid, nodes for which no other sets thresholds keep theirs.
func (v *resolvedState) findThresholds(n *nodeState, defaults v1alpha1.Thresholds) v1alpha1.Thresholds {
	t, keep := v.resolved.FindThresholds(n.Name)
	if keep || t == (v1alpha1.Thresholds{}) && v.hasUnreadable {
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
