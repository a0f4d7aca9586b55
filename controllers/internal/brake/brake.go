// Package brake blocks changes that would remove settings from many nodes within an hour,
// such as after a mistake in a selector or a loss of labels. It counts over all NodeTunings
// together. It is pure: past losses are recorded in the nodes' PortPressures.
package brake

import (
	"fmt"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Percent is the percentage of the cluster's nodes, and of a NodeTuning's own, that may lose
// settings within Window without confirmation.
const (
	Percent = 20
	Window  = time.Hour
)

// minNodes is the number of nodes below which the brake blocks nothing.
const minNodes = 2

// Input is the input of Evaluate.
type Input struct {
	// ClusterNodes is the number of nodes in the cluster.
	ClusterNodes int
	// Tunings has the NodeTunings by name.
	Tunings map[string]Tuning
	// Pending are the losses that would happen now, Recent those within Window that nobody
	// has confirmed.
	Pending, Recent []Loss
}

// Tuning is a NodeTuning.
type Tuning struct {
	Generation int64
	// Nodes is the number of nodes that it selects, that have its settings, or that lost
	// some within Window.
	Nodes int
	// Confirmed reports whether a user has confirmed its losses.
	Confirmed bool
}

// Loss is a node that loses a setting.
type Loss struct {
	Node string
	// Owner is the NodeTuning that the setting comes from. Causes are others that cause the
	// loss, because they set different values with equal priority.
	Owner  string
	Causes []string
}

// listParties returns the owner and the causes.
func (l Loss) listParties() []string { return append([]string{l.Owner}, l.Causes...) }

// IsRecent reports whether a loss at that time counts. One in the future does, because the
// clock of an earlier leader may have been wrong.
func IsRecent(at, now time.Time) bool { return now.Sub(at) < Window }

// Evaluate returns, by NodeTuning, why its pending losses are blocked, with the remedy.
// NodeTunings that are not blocked are absent. A confirmed loss neither counts nor is
// blocked.
func Evaluate(in Input) map[string]string {
	blocked := map[string]string{}
	pending, recent := countByTuning(in.unconfirmed()), countByTuning(in.Recent)
	for _, loss := range in.unconfirmed() {
		for _, party := range loss.listParties() {
			if c := newCount(pending[party], recent[party], in.Tunings[party].Nodes); c.exceedsLimit() {
				blocked[loss.Owner] = c.format(in, loss.Owner, " of NodeTuning "+party)
				break
			}
		}
	}
	rest := nodeSet{}
	for _, loss := range in.unconfirmed() {
		if blocked[loss.Owner] == "" {
			rest[loss.Node] = true
		}
	}
	c := newCount(rest, collectNodes(in.Recent), in.ClusterNodes)
	if len(rest) == 0 || !c.exceedsLimit() {
		return blocked
	}
	for _, loss := range in.unconfirmed() {
		if blocked[loss.Owner] == "" {
			blocked[loss.Owner] = c.format(in, loss.Owner, " of the cluster")
		}
	}
	return blocked
}

// unconfirmed returns the pending losses that are not confirmed.
func (in Input) unconfirmed() (list []Loss) {
	for _, loss := range in.Pending {
		if !in.Tunings[loss.Owner].Confirmed {
			list = append(list, loss)
		}
	}
	return list
}

type nodeSet map[string]bool

// countByTuning returns the nodes that lose settings, by NodeTuning that is a party.
func countByTuning(losses []Loss) map[string]nodeSet {
	byTuning := map[string]nodeSet{}
	for _, loss := range losses {
		for _, party := range loss.listParties() {
			if byTuning[party] == nil {
				byTuning[party] = nodeSet{}
			}
			byTuning[party][loss.Node] = true
		}
	}
	return byTuning
}

func collectNodes(losses []Loss) nodeSet {
	nodes := nodeSet{}
	for _, loss := range losses {
		nodes[loss.Node] = true
	}
	return nodes
}

// count compares the nodes that lose settings with all nodes.
type count struct{ now, withinWindow, all int }

func newCount(pending, recent nodeSet, all int) count {
	c := count{now: len(pending), withinWindow: len(pending), all: all}
	for node := range recent {
		if !pending[node] {
			c.withinWindow++
		}
	}
	return c
}

func (c count) exceedsLimit() bool {
	return c.now > 0 && c.withinWindow >= minNodes && c.withinWindow*100 > c.all*Percent
}

func (c count) format(in Input, owner, of string) string {
	within := ""
	if c.withinWindow > c.now {
		within = fmt.Sprintf(", %d within an hour", c.withinWindow)
	}
	return fmt.Sprintf("this would remove settings from %d of %d nodes%s%s, more than %d %%: to confirm, annotate the NodeTuning with %s=%d",
		c.now, c.all, of, within, Percent, v1alpha1.AnnotationConfirmRelease, in.Tunings[owner].Generation)
}
