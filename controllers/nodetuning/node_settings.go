package nodetuning

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	"portreeve.io/portreeve/api/v1alpha1"
)

// findCurrentSettings sets n.current from the spec. If the spec has no list, because the
// object was recreated, it uses the agent's status: the agent keeps enforcing its settings.
func (v *resolvedState) findCurrentSettings(n *nodeState) {
	n.current = map[string][]v1alpha1.Setting{}
	if n.releaseRequested {
		return
	}
	if n.spec.Settings != nil {
		for list := n.spec.Settings; len(list) > 0; {
			from := list[0].From.Name
			end := slices.IndexFunc(list, func(s v1alpha1.Setting) bool { return s.From.Name != from })
			if end < 0 {
				end = len(list)
			}
			if n.current[from] == nil {
				n.current[from] = list[:end:end] // usually the whole list, without a copy
			} else {
				n.current[from] = append(n.current[from], list[:end]...)
			}
			list = list[end:]
		}
		return
	}
	enforced := listEnforcedValues(n.status)
	for name, byOS := range v.resolved.Settings {
		for _, s := range byOS[n.OS] {
			if value, ok := enforced[s.ID]; ok && value == s.Value {
				n.current[name] = append(n.current[name], s)
			}
		}
	}
	n.adopted = len(n.current) > 0
}

// listEnforcedValues returns the values that the agent enforces, by setting ID.
func listEnforcedValues(s *v1alpha1.PortPressureStatus) map[string]string {
	values := map[string]string{}
	for _, one := range s.Settings {
		if value := cmp.Or(one.Desired, one.Current); value != nil && one.State != v1alpha1.SettingReleased {
			values[one.ID] = *value
		}
	}
	return values
}

// listDesired returns the settings of t that n should have, in the catalogue's order.
func (v *resolvedState) listDesired(t *tuning, n *nodeState) []v1alpha1.Setting {
	switch {
	case !t.DeletionTimestamp.IsZero():
		return nil
	case t.problem != "":
		return n.current[t.Name]
	}
	desired, selected := v.resolved.Desired[t.Name][n.Name]
	if v.hasUnreadable {
		desired = slices.DeleteFunc(slices.Clone(desired), func(s v1alpha1.Setting) bool {
			return v.isSetByUnreadable(n, s.ID)
		})
	}
	if !selected {
		return desired
	}
	isKept := func(s v1alpha1.Setting) bool {
		return !containsID(desired, s.ID) && containsID(v.resolved.Settings[t.Name][n.OS], s.ID) &&
			v.isReplacementPending(n, s.ID)
	}
	if !slices.ContainsFunc(n.current[t.Name], isKept) {
		return desired
	}
	var list []v1alpha1.Setting
	for _, s := range v.resolved.Settings[t.Name][n.OS] { // in the catalogue's order
		if i := indexOfID(desired, s.ID); i >= 0 {
			list = append(list, desired[i])
		} else if i := indexOfID(n.current[t.Name], s.ID); i >= 0 && isKept(n.current[t.Name][i]) {
			list = append(list, n.current[t.Name][i])
		}
	}
	return list
}

// isSetByUnreadable reports whether n has the setting from an invalid NodeTuning. No other
// NodeTuning may set it until that one is fixed.
func (v *resolvedState) isSetByUnreadable(n *nodeState, id string) bool {
	return slices.ContainsFunc(v.tunings, func(t *tuning) bool {
		return t.problem != "" && containsID(n.current[t.Name], id)
	})
}

// isReplacementPending reports whether another NodeTuning takes over the setting, but its
// rollout has not reached n yet. The current value stays until then, so that the original
// value does not return in between.
func (v *resolvedState) isReplacementPending(n *nodeState, id string) bool {
	winner := v.findWinner(n, id)
	return winner != "" && !containsID(n.current[winner], id)
}

// findWinner returns the NodeTuning whose value of the setting n should have.
func (v *resolvedState) findWinner(n *nodeState, id string) string {
	for _, t := range v.tunings {
		if containsID(v.resolved.Desired[t.Name][n.Name], id) {
			return t.Name
		}
	}
	return ""
}

// mergeSettings returns the new spec.settings of n, with the changes to make now. nil, which
// means that the agent keeps its settings, stays nil until a rollout updates n, or until
// all settings that the agent enforces belong to a NodeTuning.
func (v *resolvedState) mergeSettings(n *nodeState) []v1alpha1.Setting {
	if n.releaseRequested && (n.spec.Settings != nil || len(listEnforcedValues(n.status)) > 0) {
		return []v1alpha1.Setting{}
	}
	if v.kindMissing || n.planned == nil && (n.spec.Settings != nil || !n.adopted || v.hasUnclaimedSettings(n)) {
		return n.spec.Settings
	}
	chosen := map[string]v1alpha1.Setting{} // by ID
	list := []v1alpha1.Setting{}
	for _, name := range v.listSources(n) {
		settings, changes := n.planned[name]
		if !changes {
			settings = n.current[name]
		}
		for _, s := range settings {
			if _, taken := chosen[s.ID]; !taken || v.findWinner(n, s.ID) == s.From.Name {
				chosen[s.ID] = s
			}
		}
		list = append(list, settings...)
	}
	return slices.DeleteFunc(list, func(s v1alpha1.Setting) bool { return chosen[s.ID].From.Name != s.From.Name })
}

// listSources returns the NodeTunings in order of precedence, followed by those that no
// longer exist but of which n has settings. These are kept: the NodeTuning was removed
// without restoring them, which may have been an accident.
func (v *resolvedState) listSources(n *nodeState) []string {
	var names []string
	for _, t := range v.tunings {
		names = append(names, t.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(n.current)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// hasUnclaimedSettings reports whether n's agent enforces settings of no NodeTuning.
func (v *resolvedState) hasUnclaimedSettings(n *nodeState) bool {
	for id := range listEnforcedValues(n.status) {
		if !slices.ContainsFunc(v.tunings, func(t *tuning) bool { return containsID(n.current[t.Name], id) }) {
			return true
		}
	}
	return false
}

func containsID(list []v1alpha1.Setting, id string) bool {
	return indexOfID(list, id) >= 0
}

func indexOfID(list []v1alpha1.Setting, id string) int {
	return slices.IndexFunc(list, func(s v1alpha1.Setting) bool { return s.ID == id })
}

// equalSpecs reports whether a and b are equal. Absent and empty settings differ: one keeps
// the settings, the other releases them.
func equalSpecs(a, b v1alpha1.PortPressureSpec) bool {
	return (a.Settings == nil) == (b.Settings == nil) && equality.Semantic.DeepEqual(a, b)
}
