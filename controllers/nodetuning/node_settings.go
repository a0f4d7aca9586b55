package nodetuning

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/text"
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

// listDesired returns the settings of t that n should have, in the catalogue's order,
// followed by those that this version does not know.
func (v *resolvedState) listDesired(t *tuning, n *nodeState) []v1alpha1.Setting {
	switch {
	case !t.DeletionTimestamp.IsZero():
		return nil
	case t.problem != "":
		return n.current[t.Name]
	}
	desired, selected := v.resolved.Desired(t.Name, n.Name)
	current := n.current[t.Name]
	if !selected || !v.hasUnreadable && hasEqualIDs(desired, current) {
		return desired
	}
	var list []v1alpha1.Setting
	for _, s := range v.resolved.Settings[t.Name][n.OS] { // in the catalogue's order
		winner := v.resolved.FindWinner(n.Name, s.ID)
		wins := winner != nil && winner.From.Name == t.Name
		i := indexOfID(current, s.ID)
		switch {
		case wins && !v.isSetByUnreadable(n, s.ID):
			list = append(list, *winner)
		case !wins && i >= 0 && v.isReplacementPending(n, s.ID):
			list = append(list, current[i])
		}
	}
	return append(list, listUnknown(n.OS, current)...)
}

// listUnknown returns the settings that are not in the catalogue: a newer version of the
// controller has set them. They are kept until their NodeTuning is deleted or no longer
// selects the node.
func listUnknown(os settings.OS, current []v1alpha1.Setting) (unknown []v1alpha1.Setting) {
	for _, s := range current {
		if _, known := settings.Lookup(os, s.Key); !known {
			unknown = append(unknown, s)
		}
	}
	return unknown
}

// hasEqualIDs reports whether a and b have settings with the same IDs in the same order.
func hasEqualIDs(a, b []v1alpha1.Setting) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].ID != b[i].ID {
			return false
		}
	}
	return true
}

// listFitting returns listDesired or, if n cannot have that many settings together with
// those of others, the current settings. fits reports which.
func (v *resolvedState) listFitting(t *tuning, n *nodeState) (list []v1alpha1.Setting, fits bool) {
	desired := v.listDesired(t, n)
	current := n.current[t.Name]
	if len(desired) <= len(current) || len(n.spec.Settings)+len(desired)-len(current) <= v1alpha1.MaxSettings && n.planned == nil {
		return desired, true
	}
	ids := map[string]bool{}
	for _, name := range v.listSources(n) {
		if name == t.Name {
			continue
		}
		for _, s := range n.listOf(name) {
			ids[s.ID] = true
		}
	}
	for _, s := range desired {
		ids[s.ID] = true
	}
	if len(ids) > v1alpha1.MaxSettings {
		return current, false
	}
	return desired, true
}

// formatRefusal explains that the settings of a NodeTuning do not fit on some nodes. It
// returns an empty string without nodes.
func formatRefusal(nodes []string) string {
	if len(nodes) == 0 {
		return ""
	}
	return fmt.Sprintf("the settings do not fit on %s (such as %s): a node can have %d settings of all NodeTunings together, and each key counts once "+
		"for the host and once for each pair of pod selectors; use fewer keys, or the same pods.namespaceSelector and pods.podSelector in several NodeTunings",
		text.FormatPlural(len(nodes), "node"), nodes[0], v1alpha1.MaxSettings)
}

// isSetByUnreadable reports whether n has the setting from an invalid NodeTuning. No other
// NodeTuning may set it until that one is fixed.
func (v *resolvedState) isSetByUnreadable(n *nodeState, id string) bool {
	return v.hasUnreadable && slices.ContainsFunc(v.tunings, func(t *tuning) bool {
		return t.problem != "" && containsID(n.current[t.Name], id)
	})
}

// isReplacementPending reports whether another NodeTuning takes over the setting, but its
// rollout has not reached n yet. The current value stays until then, so that the original
// value does not return in between.
func (v *resolvedState) isReplacementPending(n *nodeState, id string) bool {
	winner := v.resolved.FindWinner(n.Name, id)
	return winner != nil && !containsID(n.current[winner.From.Name], id)
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
	chosen := v.chooseSettings(n)
	heirs := v.handOver(n, chosen)
	list := []v1alpha1.Setting{}
	for _, name := range v.listSources(n) {
		if !heirs[name] {
			list = append(list, n.listOf(name)...)
			continue
		}
		desired, _ := v.resolved.Desired(name, n.Name)
		for _, s := range slices.Concat(desired, n.listOf(name)) { // in the catalogue's order
			if chosen[s.ID].From.Name == name && !containsID(list, s.ID) {
				list = append(list, chosen[s.ID])
			}
		}
	}
	return slices.DeleteFunc(list, func(s v1alpha1.Setting) bool { return chosen[s.ID].From.Name != s.From.Name })
}

// chooseSettings returns the settings that n has after the planned changes, by ID.
func (v *resolvedState) chooseSettings(n *nodeState) map[string]v1alpha1.Setting {
	chosen := map[string]v1alpha1.Setting{}
	for _, name := range v.listSources(n) {
		for _, s := range n.listOf(name) {
			winner := v.resolved.FindWinner(n.Name, s.ID)
			if _, taken := chosen[s.ID]; !taken || winner != nil && winner.From.Name == s.From.Name {
				chosen[s.ID] = s
			}
		}
	}
	return chosen
}

// handOver adds to chosen the settings that a NodeTuning is about to remove from n although
// another one desires the same, so that the original value does not return until the
// rollout of the other one reaches n. It returns the NodeTunings that take them over.
func (v *resolvedState) handOver(n *nodeState, chosen map[string]v1alpha1.Setting) map[string]bool {
	heirs := map[string]bool{}
	for name, current := range n.current {
		for i := range current {
			s := &current[i]
			winner := v.resolved.FindWinner(n.Name, s.ID)
			if winner == nil || winner.From.Name == name || !settings.HasSameEffect(winner, s) {
				continue
			}
			if remaining, stays := chosen[s.ID]; !stays || !settings.HasSameEffect(&remaining, s) {
				chosen[s.ID] = *winner
				heirs[winner.From.Name] = true
			}
		}
	}
	return heirs
}

// listSources returns the NodeTunings in order of precedence, followed by those that no
// longer exist but of which n has settings. These are kept: the NodeTuning was removed
// without restoring them, which may have been an accident.
func (v *resolvedState) listSources(n *nodeState) []string {
	var names, absent []string
	for _, t := range v.tunings {
		if len(n.current[t.Name]) > 0 || len(n.planned[t.Name]) > 0 || v.desires(t.Name, n.Name) {
			names = append(names, t.Name)
		}
	}
	for name := range n.current {
		if v.tuningsByName[name] == nil {
			absent = append(absent, name)
		}
	}
	slices.Sort(absent)
	return append(names, absent...)
}

// desires reports whether the NodeTuning desires any settings for the node.
func (v *resolvedState) desires(tuning, node string) bool {
	desired, _ := v.resolved.Desired(tuning, node)
	return len(desired) > 0
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
