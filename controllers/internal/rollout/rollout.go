// Package rollout decides which nodes may be updated now for one NodeTuning.
//
// A rollout belongs to a revision, the generation of the NodeTuning. It updates the
// canaries first, which soak, then the other nodes in batches that are observed, and is
// complete once all nodes have been observed after the last batch. While it is under way,
// it stops if port pressure increases on updated nodes (package-internal type evidence)
// or if the update fails on too many. Nodes that join later get the completed revision.
//
// The package is pure: all state is in the objects, so that a controller that restarts
// continues where the last one stopped.
package rollout

import (
	"slices"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Input is the input of PlanChanges.
type Input struct {
	Tuning *v1alpha1.NodeTuning
	// Nodes are the nodes that the NodeTuning selects, and those that still have some of
	// its settings.
	Nodes []Node
	// Conflicts and Problem are the NodeTuning's, as package resolve found them.
	Conflicts []v1alpha1.TuningConflict
	Problem   string
	// Previews are what a NodeTuning in mode DryRun would change about the settings of
	// others.
	Previews []v1alpha1.TuningPreview
	// Budget is how many nodes the limit for the cluster allows to change now, -1 for any
	// number.
	Budget int
	// Pause explains why all rollouts of the cluster are stopped. Empty if they are not.
	Pause string
	// Refusal explains on which nodes the settings do not fit. These nodes keep their
	// current settings. Empty if there are none.
	Refusal string
	// Brake explains why the cluster's brake holds this NodeTuning. Empty if it does not.
	Brake string
	// Previous has, by node, the settings of the last completed revision, to which a
	// regression reverts. It is nil if no revision has completed: the original values then
	// return.
	Previous map[string][]v1alpha1.Setting
	// Now is the leader's clock. It may jump between two calls.
	Now time.Time
}

// Node is the state of one node, from its PortPressure.
type Node struct {
	Name string
	// OS is the node's operating system. Each has its own canaries.
	OS string
	// Domain is the value of the node's label rollout.topologyKey.
	Domain string
	// CanaryCandidate reports whether the node matches rollout.canarySelector, or there is
	// none.
	CanaryCandidate bool
	// CreatedAt is when the node joined the cluster, zero if unknown.
	CreatedAt time.Time
	// Selected reports whether the NodeTuning selects the node.
	Selected bool
	// Desired are the settings of the NodeTuning that the node should have.
	Desired []v1alpha1.Setting
	// Current are the settings of the NodeTuning in the node's spec.
	Current []v1alpha1.Setting
	// Observed reports whether the status is for the current spec.
	Observed bool
	// AgentSilent reports whether the agent cannot change settings now.
	AgentSilent bool
	// Held reports whether a user has told the agent to keep every setting as it is. The
	// node is not updated, and nothing waits for it.
	Held bool
	// Restoring reports whether the agent still has to restore settings of the NodeTuning,
	// and Obstacle explains what prevents it. Empty if nothing does.
	Restoring bool
	Obstacle  string
	Status    *v1alpha1.PortPressureStatus
}

// Decision is the result of PlanChanges.
type Decision struct {
	// Update are the nodes that get their desired settings now, Revert those that get the
	// settings of Input.Previous, both sorted.
	Update, Revert []string
	// Changing is the number of nodes whose agents are processing a change, without those
	// that start to change now.
	Changing int
	// Status is the complete status of the NodeTuning.
	Status v1alpha1.NodeTuningStatus
	// ReevaluateAt is when to plan again even if no object changes, zero for never.
	ReevaluateAt time.Time
	// Released reports that no node has settings of the deleted NodeTuning any more.
	Released bool
}

// PlanChanges decides which nodes change now, and computes the status of the NodeTuning.
// The first step that has a result determines it.
func PlanChanges(in Input) Decision {
	c := newRolloutState(in)
	d := Decision{Changing: len(c.changing)}
	for _, step := range []func(*rolloutState) (*stepResult, bool){
		stopIfUnreadable, releaseDeleted, stopWithCluster, continueStop, stopIfPaused, applyBrake, updateCompleted,
		stopOnRegression, stopOnFailures, waitForChanges, observeBatch, awaitWindow, updateCanaries,
		awaitApproval, updateBatch, watchAll, finishRollout,
	} {
		if v, ok := step(c); ok {
			d.Update, d.Revert, d.ReevaluateAt = listNames(v.update), listNames(v.revert), c.pickWakeUp(v)
			d.Status = c.makeStatus(v)
			break
		}
	}
	slices.Sort(d.Update)
	slices.Sort(d.Revert)
	d.Released = !in.Tuning.DeletionTimestamp.IsZero() && !slices.ContainsFunc(c.nodes, (*nodeState).hasSettingsLeft)
	return d
}

// stepResult is the result of one step.
type stepResult struct {
	phase          v1alpha1.RolloutPhase
	degradedReason string // reason of the condition Degraded if the rollout is stopped
	reason         string
	update, revert []*nodeState
	canaries       bool // update are canaries
	completes      bool // the revision is complete
	reevaluateAt   time.Time
}

// stayInPhase returns a result that changes no nodes.
func stayInPhase(phase v1alpha1.RolloutPhase, reason string) (*stepResult, bool) {
	return &stepResult{phase: phase, reason: reason}, true
}

// stopRollout returns a result that pauses the rollout until its reason is gone.
func stopRollout(degradedReason, reason string) (*stepResult, bool) {
	return &stepResult{phase: v1alpha1.RolloutPaused, degradedReason: degradedReason, reason: reason}, true
}

func listNames(nodes []*nodeState) []string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return names
}
