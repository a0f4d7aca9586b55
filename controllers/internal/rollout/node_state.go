package rollout

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// nodeState is a Node with the values derived from it. None of them depends on the node's
// clock, except for the time at which port pressure increased.
type nodeState struct {
	Node
	upToDate bool // it has its desired settings
	settled  bool // and its agent has processed them
	changed  bool // it is up to date, and was updated since the last completed revision
	overdue  bool // it did not report for progressDeadlineSeconds
	// hasEffect reports whether a setting is applied, or in dry run as desired.
	hasEffect bool
	failing   []v1alpha1.SettingStatus // settings that are refused, contested or failed
	// These report whether one of the settings is in that state.
	failed, refused, contested, restartRequired, dryRun bool
}

func newNodeState(n Node) *nodeState {
	out := &nodeState{Node: n, upToDate: EqualSettings(n.Current, n.Desired)}
	out.settled = out.upToDate && n.Observed
	if n.Status == nil {
		return out
	}
	next := 0
	for i := range n.Current {
		var s *v1alpha1.SettingStatus
		s, next = n.findReport(n.Current[i].ID, next)
		out.addReport(s)
	}
	return out
}

// These stand for settings that the status does not list.
var (
	reportOmitted = &v1alpha1.SettingStatus{State: v1alpha1.SettingApplied}
	reportPending = &v1alpha1.SettingStatus{State: v1alpha1.SettingPending} // not reported yet
)

// findReport returns the status that the agent reports for a setting of the node. It starts
// to search at the index from, and returns the index after the setting, because the
// settings of a NodeTuning are usually reported in order.
func (n *Node) findReport(id string, from int) (s *v1alpha1.SettingStatus, next int) {
	list := n.Status.Settings
	for i := range list {
		if i += from; i >= len(list) {
			i -= len(list)
		}
		if list[i].ID == id {
			return &list[i], i + 1
		}
	}
	if n.Status.OmittedSettings != nil {
		return reportOmitted, from
	}
	return reportPending, from
}

func (n *nodeState) addReport(s *v1alpha1.SettingStatus) {
	switch s.State {
	case v1alpha1.SettingApplied:
		n.hasEffect = true
	case v1alpha1.SettingStandby, v1alpha1.SettingReleased:
	case v1alpha1.SettingDryRun:
		n.dryRun, n.hasEffect = true, true
	case v1alpha1.SettingRestartRequired:
		n.restartRequired = true
	case v1alpha1.SettingRefused:
		n.failing, n.refused = append(n.failing, *s), true
	case v1alpha1.SettingContested:
		n.failing, n.contested = append(n.failing, *s), true
	case v1alpha1.SettingFailed:
		n.failing, n.failed = append(n.failing, *s), true
	default:
		n.settled = false
	}
}

// revision returns the latest revision of the NodeTuning from which the node has settings.
func (n *nodeState) revision() (latest int64) {
	for i := range n.Current {
		latest = max(latest, n.Current[i].From.Generation)
	}
	return latest
}

// hasSettingsLeft reports whether the node has settings of the NodeTuning, in its spec
// or still being restored.
func (n *nodeState) hasSettingsLeft() bool { return len(n.Current) > 0 || n.Restoring }

// isUpdated reports whether the node has the new settings.
func (n *nodeState) isUpdated() bool { return n.upToDate && len(n.Desired) > 0 }

// isChanging reports whether a change is in progress that the rollout waits for.
func (n *nodeState) isChanging() bool {
	if n.AgentSilent || n.Held || n.overdue {
		return false
	}
	return !n.Observed || n.isUpdated() && !n.settled && !n.failed
}

// hasFailedUpdate reports whether the rollout's update of the node has failed: a setting
// could not be applied, or the agent has become silent, perhaps because of the change.
func (n *nodeState) hasFailedUpdate() bool {
	return n.changed && (n.overdue || n.Observed && n.failed || !n.settled && n.AgentSilent)
}

// isGoodCanary reports whether the node has been or is being updated, without failing.
func (n *nodeState) isGoodCanary() bool { return n.changed && !n.hasFailedUpdate() && !n.Held }

// isGaining reports whether the update gives the node settings.
func (n *nodeState) isGaining() bool { return n.Selected && len(n.Desired) > 0 }

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

// findLastIncrease returns when port pressure on the node last increased: a pressure level
// began, the node became critical, or connects failed while it was not critical. It is zero
// if that is unknown.
func (n *nodeState) findLastIncrease() (last time.Time) {
	s := n.Status
	if s == nil {
		return last
	}
	if p := s.LastPressure; p != nil {
		last = p.From.Time
	}
	available := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionPortsAvailable)
	if available != nil && available.Status == metav1.ConditionFalse {
		return latest(last, available.LastTransitionTime.Time)
	}
	for _, f := range s.Failures {
		last = latest(last, f.LastAt.Time)
	}
	return last
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// EqualSettings reports whether a and b are the same settings, regardless of the
// NodeTuning and its generation. IDs differ if pod selectors differ.
func EqualSettings(a, b []v1alpha1.Setting) bool {
	return slices.EqualFunc(a, b, func(x, y v1alpha1.Setting) bool {
		return x.ID == y.ID && x.Key == y.Key && x.Value == y.Value && x.Scope == y.Scope && x.Mode == y.Mode &&
			x.Activation == y.Activation && x.CoolDownSeconds == y.CoolDownSeconds && x.From.Priority == y.From.Priority
	})
}
