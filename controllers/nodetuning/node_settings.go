package nodetuning

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// findCurrentSettings finds what n has of each NodeTuning. The spec says so. Where it has no list, as
// the object was made anew, the agent's word counts: it goes on holding what it held.
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
				n.current[from] = list[:end:end] // as a rule all of it, and no copy
			} else {
				n.current[from] = append(n.current[from], list[:end]...)
			}
			list = list[end:]
		}
		return
	}
	holds := listEnforcedValues(n.status)
	for name, asked := range v.resolved.Settings {
		for _, s := range asked[n.OS] {
			if value, ok := holds[s.ID]; ok && value == s.Value {
				n.current[name] = append(n.current[name], s)
			}
		}
	}
	n.adopted = len(n.current) > 0
}

// listEnforcedValues are the values that an agent holds, by setting ID.
func listEnforcedValues(s *v1alpha1.PortPressureStatus) map[string]string {
	values := map[string]string{}
	for _, one := range s.Settings {
		if value := cmp.Or(one.Desired, one.Current); value != nil && one.State != v1alpha1.SettingReleased {
			values[one.ID] = *value
		}
	}
	return values
}

// listDesired is what n is to have of t in the end, in the catalogue's order, as have is.
func (v *resolvedState) listDesired(t *tuning, n *nodeState) []v1alpha1.Setting {
	switch {
	case !t.DeletionTimestamp.IsZero():
		return nil
	case t.problem != "":
		return n.current[t.Name]
	}
	wish, selected := v.resolved.Desired[t.Name][n.Name]
	if v.hasUnreadable {
		wish = slices.DeleteFunc(slices.Clone(wish), func(s v1alpha1.Setting) bool { return v.isSetByUnreadable(n, s.ID) })
	}
	if !selected {
		return wish
	}
	var staying []v1alpha1.Setting
	for _, s := range n.current[t.Name] {
		if !containsID(wish, s.ID) && containsID(v.resolved.Settings[t.Name][n.OS], s.ID) && v.isReplacementPending(n, s.ID) {
			staying = append(staying, s)
		}
	}
	if staying == nil {
		return wish
	}
	want := slices.Concat(wish, staying)
	slices.SortStableFunc(want, inOrder)
	return want
}

// isSetByUnreadable says whether n has the setting of a NodeTuning that can't be read:
// nobody else gets it meanwhile.
func (v *resolvedState) isSetByUnreadable(n *nodeState, id string) bool {
	return slices.ContainsFunc(v.tunings, func(t *tuning) bool { return t.problem != "" && containsID(n.current[t.Name], id) })
}

// isReplacementPending says whether another NodeTuning has won the setting, and is still on its way
// to n. What stands there stays until then: the original is no step between the two.
func (v *resolvedState) isReplacementPending(n *nodeState, id string) bool {
	winner := v.findWinner(n, id)
	return winner != "" && !containsID(n.current[winner], id)
}

// findWinner is the NodeTuning whose setting it is to be on n.
func (v *resolvedState) findWinner(n *nodeState, id string) string {
	for _, t := range v.tunings {
		if containsID(v.resolved.Desired[t.Name][n.Name], id) {
			return t.Name
		}
	}
	return ""
}

// mergeSettings are those of n with what changes now. nil stays nil, hold, until a rollout
// comes to n, or until all that its agent holds is accounted for.
func (v *resolvedState) mergeSettings(n *nodeState) []v1alpha1.Setting {
	if n.releaseRequested && (n.spec.Settings != nil || len(listEnforcedValues(n.status)) > 0) {
		return []v1alpha1.Setting{}
	}
	if v.kindMissing || n.planned == nil && (n.spec.Settings != nil || !n.adopted || v.hasUnclaimedSettings(n)) {
		return n.spec.Settings
	}
	chosen := map[string]v1alpha1.Setting{} // one for each ID
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

// listSources are the NodeTunings that n has or gets something of, in order of precedence;
// those that are gone come last. What stands of them is held: they went without
// giving back, and that may be an accident.
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

// hasUnclaimedSettings says whether n's agent holds what no NodeTuning asks for.
func (v *resolvedState) hasUnclaimedSettings(n *nodeState) bool {
	for id := range listEnforcedValues(n.status) {
		if !slices.ContainsFunc(v.tunings, func(t *tuning) bool { return containsID(n.current[t.Name], id) }) {
			return true
		}
	}
	return false
}

func containsID(list []v1alpha1.Setting, id string) bool {
	return slices.ContainsFunc(list, func(s v1alpha1.Setting) bool { return s.ID == id })
}

// inOrder is the order in which package resolve lists settings.
func inOrder(a, b v1alpha1.Setting) int {
	return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(rank[a.Key], rank[b.Key]), cmp.Compare(a.ID, b.ID))
}

// rank is the catalogue's order.
var rank = func() map[string]int {
	ranks := map[string]int{}
	for i, s := range settings.All() {
		ranks[s.Key] = i
	}
	return ranks
}()

// equalSpecs says whether nothing needs to be written. nil and empty differ: hold, release.
func equalSpecs(a, b v1alpha1.PortPressureSpec) bool {
	return (a.Settings == nil) == (b.Settings == nil) && equality.Semantic.DeepEqual(a, b)
}
