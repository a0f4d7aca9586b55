// Package resolve computes the desired settings of each node from all NodeTunings, and
// finds the conflicts between them. It is pure: it uses no clock and no API.
package resolve

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	// Desired has, by NodeTuning and then by node, the settings of the NodeTuning that are
	// to be enforced on each node that it selects. Settings overridden by another
	// NodeTuning are left out. Nodes share the slices, which must not be modified.
	Desired map[string]map[string][]v1alpha1.Setting
	// Settings has, by NodeTuning and then by operating system, all settings of the
	// NodeTuning, even if it is being deleted or has an invalid selector.
	Settings map[string]map[settings.OS][]v1alpha1.Setting
	// Thresholds has, by node, the thresholds that a NodeTuning sets.
	Thresholds map[string]v1alpha1.Thresholds
	// Conflicts has, by NodeTuning, its sorted conflicts.
	Conflicts map[string][]v1alpha1.TuningConflict
	// Problems has, by NodeTuning, why it is invalid. Nodes keep its current settings.
	Problems map[string]string
}

// ComputeDesired computes the desired settings of all nodes. A NodeTuning that is being
// deleted contributes none.
func ComputeDesired(tunings []v1alpha1.NodeTuning, nodes []Node) Result {
	r := Result{
		Desired:    map[string]map[string][]v1alpha1.Setting{},
		Settings:   map[string]map[settings.OS][]v1alpha1.Setting{},
		Thresholds: map[string]v1alpha1.Thresholds{},
		Conflicts:  map[string][]v1alpha1.TuningConflict{},
		Problems:   map[string]string{},
	}
	active := r.parseTunings(tunings)
	conflicts := conflictCounts{}
	results := map[string]*classResult{} // by class; there are few, even with many nodes
	for _, n := range nodes {
		var selecting []*activeTuning
		class := []string{string(n.OS)}
		for i := range active {
			if active[i].selectsNode(n) {
				selecting = append(selecting, &active[i])
				class = append(class, active[i].Name)
			}
		}
		key := strings.Join(class, ",")
		if results[key] == nil {
			results[key] = resolveClass(n.OS, selecting)
		}
		r.addNode(n.Name, results[key])
		conflicts.addCounts(results[key].conflicts)
	}
	r.Conflicts = conflicts.listByTuning()
	return r
}

// classResult is the result for all nodes with the same operating system that the same
// NodeTunings select.
type classResult struct {
	desired    map[string][]v1alpha1.Setting
	thresholds *v1alpha1.Thresholds
	conflicts  conflictCounts
}

func (r *Result) addNode(node string, c *classResult) {
	for tuning, desired := range c.desired {
		r.Desired[tuning][node] = desired
	}
	if c.thresholds != nil {
		r.Thresholds[node] = *c.thresholds
	}
}

// activeTuning is a valid NodeTuning that is not being deleted.
type activeTuning struct {
	*v1alpha1.NodeTuning
	selector labels.Selector
	settings map[settings.OS][]v1alpha1.Setting
}

func (t *activeTuning) selectsNode(n Node) bool { return t.selector.Matches(labels.Set(n.Labels)) }

// parseTunings lists the settings of all NodeTunings, and returns the active NodeTunings
// in order of precedence.
func (r *Result) parseTunings(tunings []v1alpha1.NodeTuning) []activeTuning {
	var list []activeTuning
	for i := range tunings {
		t := &tunings[i]
		r.Settings[t.Name] = map[settings.OS][]v1alpha1.Setting{
			settings.Linux:   ListSettings(settings.Linux, t),
			settings.Windows: ListSettings(settings.Windows, t),
		}
		if !t.DeletionTimestamp.IsZero() {
			continue
		}
		// An absent selector matches nothing, {} everything (LabelSelectorAsSelector).
		selector, err := metav1.LabelSelectorAsSelector(t.Spec.NodeSelector)
		if err == nil {
			err = checkPodSelectors(t.Spec.Pods)
		}
		if err != nil {
			r.Problems[t.Name] = fmt.Sprintf("invalid selector, keeping the current settings: %v", err)
			continue
		}
		r.Desired[t.Name] = map[string][]v1alpha1.Setting{}
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
func resolveClass(os settings.OS, tunings []*activeTuning) *classResult {
	result := &classResult{desired: map[string][]v1alpha1.Setting{}, conflicts: conflictCounts{}}
	candidates := map[string][]*v1alpha1.Setting{} // by setting ID
	for _, t := range tunings {
		result.desired[t.Name] = nil
		if thresholds := t.Spec.Thresholds; thresholds != (v1alpha1.Thresholds{}) && result.thresholds == nil {
			result.thresholds = &thresholds
		}
		for i := range t.settings[os] {
			s := &t.settings[os][i]
			candidates[s.ID] = append(candidates[s.ID], s)
		}
	}
	enforced := map[*v1alpha1.Setting]bool{}
	for _, list := range candidates {
		selected, rival := settings.SelectCandidate(list)
		if rival != nil {
			selected = nil
		}
		enforced[selected] = true
		result.conflicts.countPairs(list, selected)
	}
	for _, t := range tunings {
		for i := range t.settings[os] {
			if s := &t.settings[os][i]; enforced[s] {
				result.desired[t.Name] = append(result.desired[t.Name], *s)
			}
		}
	}
	return result
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

func (f conflictCounts) addCounts(more conflictCounts) {
	for k, n := range more {
		f[k] += n
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
