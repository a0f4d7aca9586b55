package rollout

import (
	"slices"
	"time"

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
	if n.Status == nil {
		return out
	}
	for i := range n.Have {
		out.settle(n.report(n.Have[i].ID))
	}
	return out
}

// report is what the agent says of a setting that the node has.
func (n *Node) report(id string) v1alpha1.SettingStatus {
	for i := range n.Status.Settings {
		if n.Status.Settings[i].ID == id {
			return n.Status.Settings[i]
		}
	}
	if out := n.Status.OmittedSettings; out != nil {
		return v1alpha1.SettingStatus{ID: id, State: v1alpha1.SettingApplied, LastTransitionTime: out.LastTransitionTime}
	}
	return v1alpha1.SettingStatus{ID: id, State: v1alpha1.SettingPending} // not spoken of yet
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

// same says whether a and b ask for the same, whatever generation of whom asks. The ID
// tells selectors apart.
func same(a, b []v1alpha1.Setting) bool {
	return slices.EqualFunc(a, b, func(x, y v1alpha1.Setting) bool {
		return x.ID == y.ID && x.Key == y.Key && x.Value == y.Value && x.Scope == y.Scope && x.Mode == y.Mode &&
			x.Activation == y.Activation && x.CoolDownSeconds == y.CoolDownSeconds && x.From.Priority == y.From.Priority
	})
}
