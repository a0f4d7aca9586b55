// Package resolve turns NodeTunings into what each asks of each node, and says where
// two of them contradict each other. It is pure: no clock, no API.
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

// Node is what a NodeTuning can select a node by.
type Node struct {
	Name   string
	OS     settings.OS
	Labels map[string]string
}

// Result is what all NodeTunings ask for.
type Result struct {
	// Desired are by the name of the NodeTuning, then of the node, for each node that
	// it selects: the settings that it has there, those that another one wins left
	// out. Nodes share them: they are not to be written to.
	Desired map[string]map[string][]v1alpha1.Setting
	// Settings are by the name of the NodeTuning, then by operating system: all that it
	// would have on a node without any other, also where it is being deleted or can't be
	// read.
	Settings map[string]map[settings.OS][]v1alpha1.Setting
	// Thresholds are by node, where a NodeTuning sets any.
	Thresholds map[string]v1alpha1.Thresholds
	// Conflicts are by NodeTuning, sorted.
	Conflicts map[string][]v1alpha1.TuningConflict
	// Problems say of a NodeTuning why it can't be read. What stands of it is held.
	Problems map[string]string
}

// ResolveTunings resolves tunings for nodes. One that is being deleted asks for nothing.
func ResolveTunings(tunings []v1alpha1.NodeTuning, nodes []Node) Result {
	r := Result{
		Desired:    map[string]map[string][]v1alpha1.Setting{},
		Settings:   map[string]map[settings.OS][]v1alpha1.Setting{},
		Thresholds: map[string]v1alpha1.Thresholds{},
		Conflicts:  map[string][]v1alpha1.TuningConflict{},
		Problems:   map[string]string{},
	}
	asking := r.parseTunings(tunings)
	found := conflictCounts{}
	outcomes := map[string]*classResult{} // few, of however many nodes
	for _, n := range nodes {
		var here []*activeTuning
		class := []string{string(n.OS)}
		for i := range asking {
			if asking[i].selectsNode(n) {
				here = append(here, &asking[i])
				class = append(class, asking[i].Name)
			}
		}
		key := strings.Join(class, ",")
		if outcomes[key] == nil {
			outcomes[key] = resolveClass(n.OS, here)
		}
		r.addNode(n.Name, outcomes[key])
		found.addCounts(outcomes[key].conflicts)
	}
	r.Conflicts = found.listByTuning()
	return r
}

// classResult is what nodes get that the same NodeTunings select.
type classResult struct {
	desired    map[string][]v1alpha1.Setting
	thresholds *v1alpha1.Thresholds
	conflicts  conflictCounts
}

func (r *Result) addNode(node string, o *classResult) {
	for name, wish := range o.desired {
		r.Desired[name][node] = wish
	}
	if o.thresholds != nil {
		r.Thresholds[node] = *o.thresholds
	}
}

// activeTuning is a NodeTuning that can be read.
type activeTuning struct {
	*v1alpha1.NodeTuning
	selector labels.Selector
	settings map[settings.OS][]v1alpha1.Setting
}

func (w *activeTuning) selectsNode(n Node) bool { return w.selector.Matches(labels.Set(n.Labels)) }

// parseTunings are the NodeTunings that ask for something, the first in precedence first:
// by priority, then by name, so that the order is always the same.
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
		// Absent selects nothing, {} everything: LabelSelectorAsSelector's own rule.
		selector, err := metav1.LabelSelectorAsSelector(t.Spec.NodeSelector)
		if err == nil {
			err = checkPodSelectors(t.Spec.Pods)
		}
		if err != nil {
			r.Problems[t.Name] = fmt.Sprintf("a selector can't be read, and what stands is held: %v", err)
			continue
		}
		r.Desired[t.Name] = map[string][]v1alpha1.Setting{}
		list = append(list, activeTuning{t, selector, r.Settings[t.Name]})
	}
	slices.SortFunc(list, func(a, b activeTuning) int { return settings.CompareTunings(a.NodeTuning, b.NodeTuning) })
	return list
}

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

// resolveClass gives each NodeTuning of here, which are in order of precedence, what it has
// on a node of that operating system.
func resolveClass(os settings.OS, here []*activeTuning) *classResult {
	o := &classResult{desired: map[string][]v1alpha1.Setting{}, conflicts: conflictCounts{}}
	candidates := map[string][]*v1alpha1.Setting{} // by setting ID
	for _, w := range here {
		o.desired[w.Name] = nil
		if t := w.Spec.Thresholds; t != (v1alpha1.Thresholds{}) && o.thresholds == nil {
			o.thresholds = &t
		}
		for i := range w.settings[os] {
			s := &w.settings[os][i]
			candidates[s.ID] = append(candidates[s.ID], s)
		}
	}
	winners := map[*v1alpha1.Setting]bool{}
	for _, list := range candidates {
		selected, rival := settings.SelectCandidate(list)
		if rival != nil {
			selected = nil
		}
		winners[selected] = true
		o.conflicts.countPairs(list, selected)
	}
	for _, w := range here {
		for i := range w.settings[os] {
			if s := &w.settings[os][i]; winners[s] {
				o.desired[w.Name] = append(o.desired[w.Name], *s)
			}
		}
	}
	return o
}

// conflictCounts counts the nodes of each contradiction.
type conflictCounts map[conflictKey]int32

type conflictKey struct{ tuning, key, with, winner string }

// countPairs counts every pair of rivals that contradict each other, once for each side. A
// setting of pods has a twin on the host, which says it already; where the selectors
// of pods differ, only the node knows whether they meet.
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

// maxConflicts is how many a NodeTuning lists.
const maxConflicts = 32

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
