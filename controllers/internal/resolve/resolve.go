// Package resolve computes the desired settings of each node from all NodeTunings, and
// finds the conflicts between them. It is pure: it uses no clock and no API.
package resolve

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// Node has the properties of a node that decide which settings it gets.
type Node struct {
	Name   string
	OS     settings.OS
	Labels map[string]string
}

// Result is the combined result of all NodeTunings.
type Result struct {
	// Settings has, by NodeTuning and then by operating system of the nodes, all settings of
	// the NodeTuning, even if it is being deleted or has an invalid selector.
	Settings map[string]map[settings.OS][]v1alpha1.Setting
	// Conflicts has, by NodeTuning, its sorted conflicts.
	Conflicts map[string][]v1alpha1.TuningConflict
	// Previews has, by NodeTuning in mode DryRun, what enforcing it would change about
	// settings that other NodeTunings enforce.
	Previews map[string][]v1alpha1.TuningPreview
	// Problems has, by NodeTuning, why it is invalid. Nodes keep its current settings.
	Problems map[string]string

	classes   map[string]*nodeClass      // by node
	selectors map[string]labels.Selector // of the valid NodeTunings, even if they are being deleted
}

// ComputeDesired computes the desired settings of all nodes. A NodeTuning that is being
// deleted contributes none.
func ComputeDesired(tunings []v1alpha1.NodeTuning, nodes []Node) Result {
	r := Result{
		Settings:  map[string]map[settings.OS][]v1alpha1.Setting{},
		Problems:  map[string]string{},
		classes:   make(map[string]*nodeClass, len(nodes)),
		selectors: map[string]labels.Selector{},
	}
	active := r.parseTunings(tunings, listSystems(nodes))
	conflicts, previews := conflictCounts{}, previewCounts{}
	classes := map[string]*nodeClass{} // by key; there are few, even with many nodes
	var key []byte
	selecting := make([]*activeTuning, 0, len(active))
	for _, n := range nodes {
		key, selecting = append(key[:0], n.OS...), selecting[:0]
		for i := range active {
			if active[i].selectsNode(n) {
				selecting = append(selecting, &active[i])
				key = append(append(key, ','), active[i].Name...)
			}
		}
		class := classes[string(key)]
		if class == nil {
			class = resolveClass(n.OS, selecting)
			classes[string(key)] = class
		}
		class.nodes++
		r.classes[n.Name] = class
	}
	for _, class := range classes {
		conflicts.addCounts(class.conflicts, class.nodes)
		previews.addCounts(class.previews, class.nodes)
	}
	r.Conflicts, r.Previews = conflicts.listByTuning(), previews.listByTuning()
	return r
}

// Desired returns the settings of the NodeTuning that are to be enforced on the node, and
// whether the NodeTuning selects the node. Settings overridden by another NodeTuning are
// left out. Nodes share the slice, which must not be modified.
func (r *Result) Desired(tuning, node string) (desired []v1alpha1.Setting, selected bool) {
	if class := r.classes[node]; class != nil {
		desired, selected = class.desired[tuning]
	}
	return desired, selected
}

// FindWinner returns the setting with that ID that the node should have, nil if none.
func (r *Result) FindWinner(node, id string) *v1alpha1.Setting {
	if class := r.classes[node]; class != nil {
		return class.winners[id]
	}
	return nil
}

// ListContenders returns the NodeTunings that set different values with equal priority
// for the setting with that ID on the node, so that none is enforced.
func (r *Result) ListContenders(node, id string) []string {
	if class := r.classes[node]; class != nil {
		return class.contenders[id]
	}
	return nil
}

// FindThresholds returns the thresholds that a NodeTuning sets for the node, zero if none
// does. keep reports whether the node keeps its current ones instead, because that
// NodeTuning is paused.
func (r *Result) FindThresholds(node string) (t v1alpha1.Thresholds, keep bool) {
	if class := r.classes[node]; class != nil {
		return class.thresholds, class.keepThresholds
	}
	return v1alpha1.Thresholds{}, false
}

// Selects reports whether the selector of the NodeTuning, which may be being deleted,
// matches the labels.
func (r *Result) Selects(tuning string, nodeLabels map[string]string) bool {
	s := r.selectors[tuning]
	return s != nil && s.Matches(labels.Set(nodeLabels))
}

// nodeClass is the result for all nodes with the same operating system that the same
// NodeTunings select.
type nodeClass struct {
	nodes          int32
	desired        map[string][]v1alpha1.Setting // by NodeTuning
	winners        map[string]*v1alpha1.Setting  // by setting ID
	contenders     map[string][]string           // NodeTunings in an unresolved conflict, by setting ID
	thresholds     v1alpha1.Thresholds
	keepThresholds bool
	conflicts      conflictCounts
	previews       previewCounts
}

// activeTuning is a valid NodeTuning that is not being deleted.
type activeTuning struct {
	*v1alpha1.NodeTuning
	selector labels.Selector
	settings map[settings.OS][]v1alpha1.Setting
}

func (t *activeTuning) selectsNode(n Node) bool { return t.selector.Matches(labels.Set(n.Labels)) }

// listSystems returns the operating systems of the nodes.
func listSystems(nodes []Node) (systems []settings.OS) {
	for _, n := range nodes {
		if !slices.Contains(systems, n.OS) {
			systems = append(systems, n.OS)
		}
	}
	return systems
}

// parseTunings lists the settings of all NodeTunings for the operating systems, and returns
// the active NodeTunings in order of precedence.
func (r *Result) parseTunings(tunings []v1alpha1.NodeTuning, systems []settings.OS) []activeTuning {
	var list []activeTuning
	for i := range tunings {
		t := &tunings[i]
		r.Settings[t.Name] = map[settings.OS][]v1alpha1.Setting{}
		for _, os := range systems {
			r.Settings[t.Name][os] = ListSettings(os, t)
		}
		// An absent selector matches nothing, {} everything (LabelSelectorAsSelector).
		selector, err := metav1.LabelSelectorAsSelector(t.Spec.NodeSelector)
		if err == nil {
			err = checkPodSelectors(t.Spec.Pods)
		}
		if err != nil && t.DeletionTimestamp.IsZero() {
			r.Problems[t.Name] = fmt.Sprintf("invalid selector, keeping the current settings: %v", err)
			continue
		}
		r.selectors[t.Name] = selector
		if !t.DeletionTimestamp.IsZero() {
			continue
		}
		list = append(list, activeTuning{NodeTuning: t, selector: selector, settings: r.Settings[t.Name]})
	}
	slices.SortFunc(list, func(a, b activeTuning) int { return settings.CompareTunings(a.NodeTuning, b.NodeTuning) })
	return list
}

// checkPodSelectors returns an error that names the invalid selector, if there is one.
func checkPodSelectors(p *v1alpha1.PodScope) error {
	if p == nil {
		return nil
	}
	for field, s := range map[string]*metav1.LabelSelector{"namespaceSelector": p.NamespaceSelector, "podSelector": p.PodSelector} {
		if _, err := metav1.LabelSelectorAsSelector(s); err != nil {
			return fmt.Errorf("pods.%s: %w", field, err)
		}
	}
	return nil
}

// resolveClass computes the result for nodes with the given operating system that all
// tunings select. tunings must be in order of precedence.
func resolveClass(os settings.OS, tunings []*activeTuning) *nodeClass {
	class := &nodeClass{
		desired: map[string][]v1alpha1.Setting{}, winners: map[string]*v1alpha1.Setting{}, contenders: map[string][]string{},
		conflicts: conflictCounts{}, previews: previewCounts{},
	}
	class.setThresholds(tunings)
	candidates := map[string][]*v1alpha1.Setting{} // by setting ID
	for _, t := range tunings {
		class.desired[t.Name] = nil
		for i := range t.settings[os] {
			s := &t.settings[os][i]
			candidates[s.ID] = append(candidates[s.ID], s)
		}
	}
	for id, list := range candidates {
		class.resolveSetting(id, list)
	}
	for _, t := range tunings {
		for i := range t.settings[os] {
			if s := &t.settings[os][i]; class.winners[s.ID] == s {
				class.desired[t.Name] = append(class.desired[t.Name], *s)
			}
		}
	}
	return class
}

// setThresholds uses the thresholds of the first NodeTuning that enforces any. While that
// one is paused, nodes keep their thresholds.
func (c *nodeClass) setThresholds(tunings []*activeTuning) {
	for _, t := range tunings {
		if t.Spec.Thresholds != (v1alpha1.Thresholds{}) && t.Spec.Mode != v1alpha1.ModeDryRun {
			c.thresholds, c.keepThresholds = t.Spec.Thresholds, t.Spec.Rollout.Paused
			return
		}
	}
}

// resolveSetting selects the setting to enforce among the candidates with that ID.
func (c *nodeClass) resolveSetting(id string, candidates []*v1alpha1.Setting) {
	selected, rival := settings.SelectCandidate(candidates)
	if rival != nil {
		for _, s := range candidates {
			c.contenders[id] = append(c.contenders[id], s.From.Name)
		}
		selected = nil
	} else {
		c.winners[id] = selected
		c.previews.countPreviews(candidates, selected)
	}
	c.conflicts.countPairs(candidates, selected)
}

// conflictCounts is the number of nodes with each conflict.
type conflictCounts map[conflictKey]int32

type conflictKey struct{ tuning, key, with, winner string }

// countPairs counts every pair of conflicting candidates, once for each side, given the one
// that is enforced, if any. It skips settings for pods: each has a counterpart for the
// host, which has the same conflict, and if the pod selectors differ, only the node knows
// whether any pod matches both.
func (f conflictCounts) countPairs(candidates []*v1alpha1.Setting, selected *v1alpha1.Setting) {
	if candidates[0].Scope == v1alpha1.ScopePods {
		return
	}
	winner := ""
	if selected != nil {
		winner = selected.From.Name
	}
	for _, a := range candidates {
		for _, b := range candidates {
			if settings.Conflicts(a, b) && (selected == nil || a.From.Name == winner || b.From.Name == winner) {
				f[conflictKey{tuning: a.From.Name, key: a.Key, with: b.From.Name, winner: winner}]++
			}
		}
	}
}

// addCounts adds the conflicts of one node, multiplied by a number of nodes.
func (f conflictCounts) addCounts(more conflictCounts, nodes int32) {
	for k, n := range more {
		f[k] += n * nodes
	}
}

// maxConflicts limits the conflicts that a NodeTuning lists.
const maxConflicts = 32

// listByTuning returns the sorted conflicts of each NodeTuning.
func (f conflictCounts) listByTuning() map[string][]v1alpha1.TuningConflict {
	keys := slices.SortedFunc(maps.Keys(f), func(a, b conflictKey) int {
		return cmp.Or(cmp.Compare(a.tuning, b.tuning), cmp.Compare(a.key, b.key), cmp.Compare(a.with, b.with), cmp.Compare(a.winner, b.winner))
	})
	all := map[string][]v1alpha1.TuningConflict{}
	for _, k := range keys {
		if len(all[k.tuning]) < maxConflicts {
			all[k.tuning] = append(all[k.tuning], v1alpha1.TuningConflict{Key: k.key, With: k.with, Winner: k.winner, Nodes: f[k]})
		}
	}
	return all
}
