package nodetuning

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// take finds what n has of each NodeTuning. The spec says so. Where it has no list, as
// the object was made anew, the agent's word counts: it goes on holding what it held.
func (v *view) take(n *node) {
	n.have = map[string][]v1alpha1.Setting{}
	if n.released {
		return
	}
	if n.spec.Settings != nil {
		for list := n.spec.Settings; len(list) > 0; {
			from := list[0].From.Name
			end := slices.IndexFunc(list, func(s v1alpha1.Setting) bool { return s.From.Name != from })
			if end < 0 {
				end = len(list)
			}
			if n.have[from] == nil {
				n.have[from] = list[:end:end] // as a rule all of it, and no copy
			} else {
				n.have[from] = append(n.have[from], list[:end]...)
			}
			list = list[end:]
		}
		return
	}
	holds := holding(n.status)
	for name, asked := range v.result.Settings {
		for _, s := range asked[n.OS] {
			if value, ok := holds[s.ID]; ok && value == s.Value {
				n.have[name] = append(n.have[name], s)
			}
		}
	}
	n.adopted = len(n.have) > 0
}

// holding are the values that an agent holds, by setting ID.
func holding(s *v1alpha1.PortPressureStatus) map[string]string {
	values := map[string]string{}
	for _, one := range s.Settings {
		if value := cmp.Or(one.Desired, one.Current); value != nil && one.State != v1alpha1.SettingReleased {
			values[one.ID] = *value
		}
	}
	return values
}

// want is what n is to have of t in the end, in the catalogue's order, as have is.
func (v *view) want(t *tuning, n *node) []v1alpha1.Setting {
	switch {
	case !t.DeletionTimestamp.IsZero():
		return nil
	case t.problem != "":
		return n.have[t.Name]
	}
	wish, selected := v.result.Desired[t.Name][n.Name]
	if v.held {
		wish = slices.DeleteFunc(slices.Clone(wish), func(s v1alpha1.Setting) bool { return v.unreadable(n, s.ID) })
	}
	if !selected {
		return wish
	}
	var staying []v1alpha1.Setting
	for _, s := range n.have[t.Name] {
		if !has(wish, s.ID) && has(v.result.Settings[t.Name][n.OS], s.ID) && v.coming(n, s.ID) {
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

// unreadable says whether n has the setting of a NodeTuning that can't be read:
// nobody else gets it meanwhile.
func (v *view) unreadable(n *node, id string) bool {
	return slices.ContainsFunc(v.tunings, func(t *tuning) bool { return t.problem != "" && has(n.have[t.Name], id) })
}

// coming says whether another NodeTuning has won the setting, and is still on its way
// to n. What stands there stays until then: the original is no step between the two.
func (v *view) coming(n *node, id string) bool {
	winner := v.winner(n, id)
	return winner != "" && !has(n.have[winner], id)
}

// winner is the NodeTuning whose setting it is to be on n.
func (v *view) winner(n *node, id string) string {
	for _, t := range v.tunings {
		if has(v.result.Desired[t.Name][n.Name], id) {
			return t.Name
		}
	}
	return ""
}

// settings are those of n with what changes now. nil stays nil, hold, until a rollout
// comes to n, or until all that its agent holds is accounted for.
func (v *view) settings(n *node) []v1alpha1.Setting {
	if n.released && (n.spec.Settings != nil || len(holding(n.status)) > 0) {
		return []v1alpha1.Setting{}
	}
	if v.untuned || n.next == nil && (n.spec.Settings != nil || !n.adopted || v.strays(n)) {
		return n.spec.Settings
	}
	chosen := map[string]v1alpha1.Setting{} // one for each ID
	list := []v1alpha1.Setting{}
	for _, name := range v.sources(n) {
		settings, changes := n.next[name]
		if !changes {
			settings = n.have[name]
		}
		for _, s := range settings {
			if _, taken := chosen[s.ID]; !taken || v.winner(n, s.ID) == s.From.Name {
				chosen[s.ID] = s
			}
		}
		list = append(list, settings...)
	}
	return slices.DeleteFunc(list, func(s v1alpha1.Setting) bool { return chosen[s.ID].From.Name != s.From.Name })
}

// sources are the NodeTunings that n has or gets something of, in order of precedence;
// those that are gone come last. What stands of them is held: they went without
// giving back, and that may be an accident.
func (v *view) sources(n *node) []string {
	var names []string
	for _, t := range v.tunings {
		names = append(names, t.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(n.have)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// strays says whether n's agent holds what no NodeTuning asks for.
func (v *view) strays(n *node) bool {
	for id := range holding(n.status) {
		if !slices.ContainsFunc(v.tunings, func(t *tuning) bool { return has(n.have[t.Name], id) }) {
			return true
		}
	}
	return false
}

func has(list []v1alpha1.Setting, id string) bool {
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

// same says whether nothing needs to be written. nil and empty differ: hold, release.
func same(a, b v1alpha1.PortPressureSpec) bool {
	return (a.Settings == nil) == (b.Settings == nil) && equality.Semantic.DeepEqual(a, b)
}
