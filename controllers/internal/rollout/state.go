package rollout

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// rolloutState is the state of one rollout.
type rolloutState struct {
	Input
	options
	// progress is the status of the rollout, brought up to date with the objects.
	progress v1alpha1.RolloutStatus
	nodes    []*nodeState // sorted by name
	updated  []*nodeState // selected, with the new settings
	changed  []*nodeState // updated since the last completed revision
	failed   []*nodeState // changed, and the update failed
	pending  []*nodeState // not up to date, and can be changed now
	changing []*nodeState
	live     int // nodes that the NodeTuning is responsible for and that can be changed
	budget   int // number of nodes that may start changing now
	window   windowState
}

func newRolloutState(in Input) *rolloutState {
	c := &rolloutState{Input: in, options: newOptions(&in.Tuning.Spec.Rollout), progress: *in.Tuning.Status.Rollout.DeepCopy()}
	c.beginRevision()
	for _, n := range in.Nodes {
		c.nodes = append(c.nodes, newNodeState(n))
	}
	slices.SortFunc(c.nodes, func(a, b *nodeState) int { return cmp.Compare(a.Name, b.Name) })
	for _, n := range c.nodes {
		c.addNode(n)
	}
	c.budget = max(0, c.computeMaxUnavailable(c.live)-len(c.changing))
	if in.Budget >= 0 {
		c.budget = min(c.budget, in.Budget)
	}
	c.window = findWindow(in.Tuning.Spec.Rollout.Windows, in.Now)
	c.adoptChanged()
	c.acceptRequests()
	c.recordProgress()
	c.advanceClock()
	return c
}

// addNode sorts n into the lists.
func (c *rolloutState) addNode(n *nodeState) {
	n.changed = n.isUpdated() && n.revision() > c.progress.CompletedRevision && n.revision() <= c.Tuning.Generation
	n.overdue = slices.Contains(c.progress.Overdue, n.Name) && !n.settled
	if n.isUpdated() {
		c.updated = append(c.updated, n)
	}
	if n.changed {
		c.changed = append(c.changed, n)
	}
	if n.hasFailedUpdate() {
		c.failed = append(c.failed, n)
	}
	if n.isChanging() {
		c.changing = append(c.changing, n)
	}
	if !n.AgentSilent && !n.Held {
		if n.Selected || len(n.Current) > 0 {
			c.live++
		}
		if !n.upToDate {
			c.pending = append(c.pending, n)
		}
	}
}

// beginRevision starts a new rollout if the NodeTuning has been edited. Nodes that were
// updated since the last completed revision and are still up to date remain part of it, but
// nothing that was observed before the edit counts.
func (c *rolloutState) beginRevision() {
	p, was := &c.progress, c.Tuning.Status
	if p.Revision == c.Tuning.Generation {
		return
	}
	if p.Revision == 0 && (p.Phase == v1alpha1.RolloutComplete || p.Phase == v1alpha1.RolloutAwaitingRestart) {
		p.CompletedRevision = was.ObservedGeneration // written by a version without revisions
	}
	*p = v1alpha1.RolloutStatus{
		Revision: c.Tuning.Generation, CompletedRevision: p.CompletedRevision, CompletedAt: p.CompletedAt,
		Resumed: p.Resumed, Approved: p.Approved, Regressions: p.Regressions, BrakeHolds: p.BrakeHolds,
	}
}

// adoptChanged makes nodes that were updated before the NodeTuning was edited, and that the
// edit leaves as they are, the first batch of the new revision.
func (c *rolloutState) adoptChanged() {
	if b := &c.progress.Batch; c.isUnderWay() && b.Number == 0 && len(c.changed) > 0 {
		b.Number, b.StartedAt, c.progress.StartedAt = 1, c.now(), c.now()
		c.addExpected(b, c.changed)
	}
}

// isComplete reports whether the rollout of the current revision is complete. Nodes that
// change later are not part of it.
func (c *rolloutState) isComplete() bool { return c.progress.CompletedRevision == c.Tuning.Generation }

// isUnderWay reports whether the rollout of the current revision can make progress.
func (c *rolloutState) isUnderWay() bool {
	return !c.isComplete() && c.progress.Stop == nil && c.Tuning.DeletionTimestamp.IsZero() && c.Problem == ""
}

// isCanaryStage reports whether only canaries may be updated.
func (c *rolloutState) isCanaryStage() bool {
	return c.canaryCount > 0 && c.progress.Batch.Number <= 1 && !c.isComplete()
}

// isObserving reports whether the nodes of the current batch have settled.
func (c *rolloutState) isObserving() bool {
	return c.progress.Batch.Number > 0 && len(c.changing) == 0 && len(c.findMissingCanaries()) == 0
}

// findSoak returns how long the current batch is observed.
func (c *rolloutState) findSoak() time.Duration {
	if c.isCanaryStage() || len(c.pending) == 0 {
		return c.soak
	}
	return c.batchSoak
}

// now returns the time with the resolution of a status.
func (c *rolloutState) now() *metav1.Time { return &metav1.Time{Time: c.Now.Truncate(time.Second)} }
