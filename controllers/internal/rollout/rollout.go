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
	Want     []v1alpha1.Setting
	// Have is what its spec has of it.
	Have []v1alpha1.Setting
	// Observed says that the status speaks of the spec as it is.
	Observed bool
	Silent   bool // its agent
	Status   *v1alpha1.PortPressureStatus
}

// Decision is what to do.
type Decision struct {
	// Change are the nodes that get what they are to have, now, Take those that lose
	// all that they have of the NodeTuning; sorted.
	Change, Take []string
	// Status is the NodeTuning's, whole.
	Status v1alpha1.NodeTuningStatus
	// Next is when to decide again, even if nothing happens; zero: no need.
	Next time.Time
	// Released says that nothing of a deleted NodeTuning is left anywhere.
	Released bool
}

// The defaults of a Rollout.
const (
	defaultMaxUnavailable = "10%"
	defaultCanaries       = 1
	defaultSoak           = 300 * time.Second
)

// patience is how many soaks a canary without traffic is waited for.
const patience = 10

// Decide decides.
func Decide(in Input) Decision {
	c := newCourse(in)
	var d Decision
	for _, step := range []func(*course) (*verdict, bool){
		unreadable, releasing, reverting, paused, braked, regressed, settling, soaking, canaries, batches, restarting,
	} {
		if v, ok := step(c); ok {
			d.Change, d.Take, d.Next = v.change, v.take, v.next
			d.Status = c.status(v)
			break
		}
	}
	slices.Sort(d.Change)
	slices.Sort(d.Take)
	d.Released = !in.Tuning.DeletionTimestamp.IsZero() && !slices.ContainsFunc(c.nodes, (*node).holds)
	return d
}

// verdict is what one step decides.
type verdict struct {
	phase        v1alpha1.RolloutPhase
	stop         string // why it stands still: the reason of the condition Degraded
	reason       string
	change, take []string
	next         time.Time
}

func stand(phase v1alpha1.RolloutPhase, reason string) (*verdict, bool) {
	return &verdict{phase: phase, reason: reason}, true
}

// stopped is a rollout that stands still until someone does something.
func stopped(stop, reason string) (*verdict, bool) {
	return &verdict{phase: v1alpha1.RolloutPaused, stop: stop, reason: reason}, true
}
