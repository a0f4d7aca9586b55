package rollout

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// nodeState is a Node with the values derived from it.
type nodeState struct {
	Node
	upToDate  bool // it has its desired settings
	settled   bool // and its agent has processed them
	settledAt time.Time
	failing   []v1alpha1.SettingStatus // settings that are refused, contested or failed
	// These report whether one of the settings is in that state.
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

// findReport returns the status that the agent reports for a setting of the node.
func (n *Node) findReport(id string) v1alpha1.SettingStatus {
	for i := range n.Status.Settings {
		if n.Status.Settings[i].ID == id {
			return n.Status.Settings[i]
		}
	}
	if out := n.Status.OmittedSettings; out != nil {
		return v1alpha1.SettingStatus{ID: id, State: v1alpha1.SettingApplied, LastTransitionTime: out.LastTransitionTime}
	}
	return v1alpha1.SettingStatus{ID: id, State: v1alpha1.SettingPending} // not reported yet
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

// hasSettingsLeft reports whether the node has settings of the NodeTuning, in its spec
// or still being restored.
func (n *nodeState) hasSettingsLeft() bool { return len(n.Current) > 0 || n.Restoring }

// isUpdated reports whether the node has the new settings.
func (n *nodeState) isUpdated() bool { return n.upToDate && len(n.Desired) > 0 }

// isChanging reports whether a change is in progress. An agent that became silent during
// a change counts, because the change may be the cause.
func (n *nodeState) isChanging() bool {
	return !n.Observed && !n.AgentSilent || n.isUpdated() && !n.settled && !n.failed
}

// hasTraffic reports whether ports are in use on the node, so that a change can have an
// effect.
func (n *nodeState) hasTraffic() bool {
	s := n.Status
	return s != nil && (s.UsedPercent != nil && *s.UsedPercent > 0 || len(s.Failures) > 0)
}

// usedPercent returns the used percentage of the tightest pool, -1 if unknown.
func (n *nodeState) usedPercent() int32 {
	if n.Status == nil || n.Status.UsedPercent == nil {
		return -1
	}
	return *n.Status.UsedPercent
}

// hasPressureSince reports whether port pressure on the node increased after t: a
// pressure level began, the node became critical, or connects failed while it was not
// critical.
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

// equalSettings reports whether a and b are the same settings, regardless of the
// NodeTuning and its generation. IDs differ if pod selectors differ.
func equalSettings(a, b []v1alpha1.Setting) bool {
	return slices.EqualFunc(a, b, func(x, y v1alpha1.Setting) bool {
		return x.ID == y.ID && x.Key == y.Key && x.Value == y.Value && x.Scope == y.Scope && x.Mode == y.Mode &&
			x.Activation == y.Activation && x.CoolDownSeconds == y.CoolDownSeconds && x.From.Priority == y.From.Priority
	})
}
