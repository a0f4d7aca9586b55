package rollout

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// node is a Node with what follows from it.
type node struct {
	Node
	current bool // it has what it is to have
	settled bool // and its agent has done with it
	at      time.Time
	bad     []v1alpha1.SettingStatus // settings that are not as wanted
	// Whether one of the settings is in that state.
	failed, refused, contested, restart, dry bool
}

func newNode(n Node) *node {
	out := &node{Node: n, current: same(n.Have, n.Want)}
	out.settled = out.current && n.Observed
	for _, s := range out.reports() {
		out.settle(s)
	}
	return out
}

// reports are what the agent says of the settings that the node has, or had.
func (n *node) reports() []v1alpha1.SettingStatus {
	if n.Status == nil {
		return nil
	}
	ids := map[string]bool{}
	for _, s := range n.Have {
		ids[s.ID] = true
	}
	var list []v1alpha1.SettingStatus
	for _, s := range n.Status.Settings {
		if ids[s.ID] {
			list = append(list, s)
			delete(ids, s.ID)
		}
	}
	for id := range ids { // not spoken of yet
		list = append(list, v1alpha1.SettingStatus{ID: id, State: v1alpha1.SettingPending})
	}
	return list
}

func (n *node) settle(s v1alpha1.SettingStatus) {
	switch s.State {
	case v1alpha1.SettingApplied, v1alpha1.SettingStandby, v1alpha1.SettingReleased:
	case v1alpha1.SettingDryRun:
		n.dry = true
	case v1alpha1.SettingRestartRequired:
		n.restart = true
	case v1alpha1.SettingRefused:
		n.bad, n.refused = append(n.bad, s), true
	case v1alpha1.SettingContested:
		n.bad, n.contested = append(n.bad, s), true
	case v1alpha1.SettingFailed:
		n.bad, n.failed = append(n.bad, s), true
	default:
		n.settled = false
	}
	if t := s.LastTransitionTime; t != nil && t.After(n.at) {
		n.at = t.Time
	}
}

// holds says whether anything of the NodeTuning is left on the node: in its spec, or
// on its way out.
func (n *node) holds() bool { return len(n.Have) > 0 || len(n.Want) == 0 && !n.Observed && !n.Silent }

// changed says that the node has the new settings.
func (n *node) changed() bool { return n.current && len(n.Want) > 0 }

// moving says that a change is under way. An agent that fell silent in the middle of
// one counts: the change may be why.
func (n *node) moving() bool {
	return !n.Observed && !n.Silent || n.changed() && !n.settled && !n.failed
}

// loses says whether a change would take a setting away.
func (n *node) loses() bool {
	want := map[string]bool{}
	for _, s := range n.Want {
		want[s.ID] = true
	}
	for _, s := range n.Have {
		if !want[s.ID] {
			return true
		}
	}
	return false
}

// traffic says whether anything uses ports there, so that a change could be felt.
func (n *node) traffic() bool {
	s := n.Status
	return s != nil && (s.UsedPercent != nil && *s.UsedPercent > 0 || len(s.Failures) > 0)
}

func (n *node) used() int32 {
	if n.Status == nil || n.Status.UsedPercent == nil {
		return -1
	}
	return *n.Status.UsedPercent
}

// worseSince says whether the node's ports got short after t: a level that began
// then, a critical one, or failed connects where none was critical before.
func (n *node) worseSince(t time.Time) bool {
	s := n.Status
	if s == nil {
		return false
	}
	if p := s.LastPressure; p != nil && p.From.After(t) {
		return true
	}
	available := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionPortsAvailable)
	critical := available != nil && available.Status == metav1.ConditionFalse
	if critical {
		return available.LastTransitionTime.After(t)
	}
	for _, f := range s.Failures {
		if f.LastAt.After(t) {
			return true
		}
	}
	return false
}

// same says whether a and b ask for the same, whatever generation of whom asks.
func same(a, b []v1alpha1.Setting) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		x.From, y.From = v1alpha1.SettingSource{Priority: x.From.Priority}, v1alpha1.SettingSource{Priority: y.From.Priority}
		if !equality.Semantic.DeepEqual(x, y) {
			return false
		}
	}
	return true
}
