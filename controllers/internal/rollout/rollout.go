// Package rollout decides which nodes may change now for one NodeTuning: canaries
// first, which soak, then the others at its pace; none once changed nodes fare worse
// than the rest. It is pure. What it knows of the past stands in the objects: a
// controller that starts anew goes on where the last one was.
package rollout

import (
	"slices"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Input is all that a decision is made from.
type Input struct {
	Tuning *v1alpha1.NodeTuning
	// Nodes are those that the NodeTuning selects, and those that have something of
	// it still.
	Nodes []Node
	// ClusterNodes is how many nodes the cluster has, for the brake.
	ClusterNodes int
	// Conflicts and Problem are what resolve found.
	Conflicts []v1alpha1.TuningConflict
	Problem   string
	Now       time.Time
}

// Node is one node as its PortPressure shows it.
type Node struct {
	Name string
	// Selected says that the NodeTuning selects it; Want is what it is to have of it.
	Selected bool
	Desired  []v1alpha1.Setting
	// Current is what its spec has of it.
	Current []v1alpha1.Setting
	// Observed says that the status speaks of the spec as it is.
	Observed    bool
	AgentSilent bool // its agent
	Status      *v1alpha1.PortPressureStatus
}

// Decision is what to do.
type Decision struct {
	// Update are the nodes that get what they are to have, now, Take those that lose
	// all that they have of the NodeTuning; sorted.
	Update, Revert []string
	// Status is the NodeTuning's, whole.
	Status v1alpha1.NodeTuningStatus
	// ReevaluateAt is when to decide again, even if nothing happens; zero: no need.
	ReevaluateAt time.Time
	// Released says that nothing of a deleted NodeTuning is left anywhere.
	Released bool
}

// The defaults of a Rollout.
const (
	defaultMaxUnavailable = "10%"
	defaultCanaries       = 1
	defaultSoak           = 300 * time.Second
)

// maxSoaks is how many soaks a canary without traffic is waited for.
const maxSoaks = 10

// PlanChanges decides.
func PlanChanges(in Input) Decision {
	c := newRolloutState(in)
	var d Decision
	for _, step := range []func(*rolloutState) (*stepResult, bool){
		stopIfUnreadable, releaseDeleted, continueRevert, stopIfPaused, applyBrake, stopOnRegression, waitForChanges, soakCanaries, updateCanaries, updateBatch, finishRollout,
	} {
		if v, ok := step(c); ok {
			d.Update, d.Revert, d.ReevaluateAt = v.update, v.revert, v.reevaluateAt
			d.Status = c.makeStatus(v)
			break
		}
	}
	slices.Sort(d.Update)
	slices.Sort(d.Revert)
	d.Released = !in.Tuning.DeletionTimestamp.IsZero() && !slices.ContainsFunc(c.nodes, (*nodeState).hasSettingsLeft)
	return d
}

// stepResult is what one step decides.
type stepResult struct {
	phase          v1alpha1.RolloutPhase
	degradedReason string // why it stands still: the reason of the condition Degraded
	reason         string
	update, revert []string
	reevaluateAt   time.Time
}

func stayInPhase(phase v1alpha1.RolloutPhase, reason string) (*stepResult, bool) {
	return &stepResult{phase: phase, reason: reason}, true
}

// stopRollout is a rollout that stands still until someone does something.
func stopRollout(stop, reason string) (*stepResult, bool) {
	return &stepResult{phase: v1alpha1.RolloutPaused, degradedReason: stop, reason: reason}, true
}
