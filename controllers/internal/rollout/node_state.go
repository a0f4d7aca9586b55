package rollout

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// nodeState is a Node with what follows from it.
type nodeState struct {
	Node
	upToDate  bool // it has what it is to have
	settled   bool // and its agent has done with it
	settledAt time.Time
	failing   []v1alpha1.SettingStatus // settings that are not as wanted
	// Whether one of the settings is in that state.
	failed, refused, contested, restartRequired, dryRun bool
}

func newNodeState(n Node) *nodeState {
	out := &nodeState{Node: n, upToDate: equalSettings(n.Current, n.Desired)}
	out.settled = out.upToDate && n.Observed
	if n.Status == nil {
		return out
	}
	for i := range n.Current {
		out.addReport(n.findReport(n.Current[i].ID))
	}
	return out
}

// findReport is what the agent says of a setting that the node has.
func (n *Node) findReport(id string) v1alpha1.SettingStatus {
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

func (n *nodeState) addReport(s v1alpha1.SettingStatus) {
	switch s.State {
	case v1alpha1.SettingApplied, v1alpha1.SettingStandby, v1alpha1.SettingReleased:
	case v1alpha1.SettingDryRun:
		n.dryRun = true
	case v1alpha1.SettingRestartRequired:
		n.restartRequired = true
	case v1alpha1.SettingRefused:
		n.failing, n.refused = append(n.failing, s), true
	case v1alpha1.SettingContested:
		n.failing, n.contested = append(n.failing, s), true
	case v1alpha1.SettingFailed:
		n.failing, n.failed = append(n.failing, s), true
	default:
		n.settled = false
	}
	if t := s.LastTransitionTime; t != nil && t.After(n.settledAt) {
		n.settledAt = t.Time
	}
}

// hasSettingsLeft says whether anything of the NodeTuning is left on the node: in its spec, or
// on its way out.
func (n *nodeState) hasSettingsLeft() bool {
	return len(n.Current) > 0 || len(n.Desired) == 0 && !n.Observed && !n.AgentSilent
}

// isUpdated says that the node has the new settings.
func (n *nodeState) isUpdated() bool { return n.upToDate && len(n.Desired) > 0 }

// isChanging says that a change is under way. An agent that fell silent in the middle of
// one counts: the change may be why.
func (n *nodeState) isChanging() bool {
	return !n.Observed && !n.AgentSilent || n.isUpdated() && !n.settled && !n.failed
}

// losesSetting says whether a change would take a setting away.
func (n *nodeState) losesSetting() bool {
	want := map[string]bool{}
	for _, s := range n.Desired {
		want[s.ID] = true
	}
	for _, s := range n.Current {
		if !want[s.ID] {
			return true
		}
	}
	return false
}

// hasTraffic says whether anything uses ports there, so that a change could be felt.
func (n *nodeState) hasTraffic() bool {
	s := n.Status
	return s != nil && (s.UsedPercent != nil && *s.UsedPercent > 0 || len(s.Failures) > 0)
}

func (n *nodeState) usedPercent() int32 {
	if n.Status == nil || n.Status.UsedPercent == nil {
		return -1
	}
	return *n.Status.UsedPercent
}

// hasPressureSince says whether the node's ports got short after t: a level that began
// then, a critical one, or failed connects where none was critical before.
func (n *nodeState) hasPressureSince(t time.Time) bool {
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

// equalSettings says whether a and b ask for the same, whatever generation of whom asks. The ID
// tells selectors apart.
func equalSettings(a, b []v1alpha1.Setting) bool {
	return slices.EqualFunc(a, b, func(x, y v1alpha1.Setting) bool {
		return x.ID == y.ID && x.Key == y.Key && x.Value == y.Value && x.Scope == y.Scope && x.Mode == y.Mode &&
			x.Activation == y.Activation && x.CoolDownSeconds == y.CoolDownSeconds && x.From.Priority == y.From.Priority
	})
}
