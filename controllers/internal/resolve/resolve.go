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
	// Wishes are by the name of the NodeTuning, then of the node, for each node that
	// it selects: the settings that it has there, those that another one wins left
	// out. Nodes share them: they are not to be written to.
	Wishes map[string]map[string][]v1alpha1.Setting
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

// Resolve resolves tunings for nodes. One that is being deleted asks for nothing.
func Resolve(tunings []v1alpha1.NodeTuning, nodes []Node) Result {
	r := Result{
		Wishes:     map[string]map[string][]v1alpha1.Setting{},
		Settings:   map[string]map[settings.OS][]v1alpha1.Setting{},
		Thresholds: map[string]v1alpha1.Thresholds{},
		Conflicts:  map[string][]v1alpha1.TuningConflict{},
		Problems:   map[string]string{},
	}
	asking := r.readable(tunings)
	found := conflicts{}
	outcomes := map[string]*outcome{} // few, of however many nodes
	for _, n := range nodes {
		var here []*wisher
		class := []string{string(n.OS)}
		for i := range asking {
			if asking[i].selects(n) {
				here = append(here, &asking[i])
				class = append(class, asking[i].Name)
			}
		}
		key := strings.Join(class, ",")
		if outcomes[key] == nil {
			outcomes[key] = settle(n.OS, here)
		}
		r.add(n.Name, outcomes[key])
		found.add(outcomes[key].conflicts)
	}
	r.Conflicts = found.list()
	return r
}

// outcome is what nodes get that the same NodeTunings select.
type outcome struct {
	wishes     map[string][]v1alpha1.Setting
	thresholds *v1alpha1.Thresholds
	conflicts  conflicts
}

func (r *Result) add(node string, o *outcome) {
	for name, wish := range o.wishes {
		r.Wishes[name][node] = wish
	}
	if o.thresholds != nil {
		r.Thresholds[node] = *o.thresholds
	}
}

// wisher is a NodeTuning that can be read.
type wisher struct {
	*v1alpha1.NodeTuning
	selector labels.Selector
	settings map[settings.OS][]v1alpha1.Setting
}

func (w *wisher) selects(n Node) bool { return w.selector.Matches(labels.Set(n.Labels)) }

// readable are the NodeTunings that ask for something, the first in precedence first:
// by priority, then by name, so that the order is always the same.
func (r *Result) readable(tunings []v1alpha1.NodeTuning) []wisher {
	var list []wisher
	for i := range tunings {
		t := &tunings[i]
		r.Settings[t.Name] = map[settings.OS][]v1alpha1.Setting{
			settings.Linux:   Settings(settings.Linux, t),
			settings.Windows: Settings(settings.Windows, t),
		}
		if !t.DeletionTimestamp.IsZero() {
			continue
		}
		// Absent selects nothing, {} everything: LabelSelectorAsSelector's own rule.
		selector, err := metav1.LabelSelectorAsSelector(t.Spec.NodeSelector)
		if err == nil {
			err = podSelectors(t.Spec.Pods)
		}
		if err != nil {
			r.Problems[t.Name] = fmt.Sprintf("a selector can't be read, and what stands is held: %v", err)
			continue
		}
		r.Wishes[t.Name] = map[string][]v1alpha1.Setting{}
		list = append(list, wisher{t, selector, r.Settings[t.Name]})
	}
	slices.SortFunc(list, func(a, b wisher) int { return settings.CompareTunings(a.NodeTuning, b.NodeTuning) })
	return list
}

func podSelectors(p *v1alpha1.PodScope) error {
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

// settle gives each NodeTuning of here, which are in order of precedence, what it has
// on a node of that operating system.
func settle(os settings.OS, here []*wisher) *outcome {
	o := &outcome{wishes: map[string][]v1alpha1.Setting{}, conflicts: conflicts{}}
	candidates := map[string][]*v1alpha1.Setting{} // by setting ID
	for _, w := range here {
		o.wishes[w.Name] = nil
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
		o.conflicts.note(list, selected)
	}
	for _, w := range here {
		for i := range w.settings[os] {
			if s := &w.settings[os][i]; winners[s] {
				o.wishes[w.Name] = append(o.wishes[w.Name], *s)
			}
		}
	}
	return o
}

// conflicts counts the nodes of each contradiction.
type conflicts map[conflict]int32

type conflict struct{ of, key, with, winner string }

// note counts every pair of rivals that contradict each other, once for each side. A
// setting of pods has a twin on the host, which says it already; where the selectors
// of pods differ, only the node knows whether they meet.
func (f conflicts) note(candidates []*v1alpha1.Setting, selected *v1alpha1.Setting) {
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
				f[conflict{of: a.From.Name, key: a.Key, with: b.From.Name, winner: winner}]++
			}
		}
	}
}

func (f conflicts) add(more conflicts) {
	for k, n := range more {
		f[k] += n
	}
}

// maxConflicts is how many a NodeTuning lists.
const maxConflicts = 32

func (f conflicts) list() map[string][]v1alpha1.TuningConflict {
	keys := slices.SortedFunc(maps.Keys(f), func(a, b conflict) int {
		return cmp.Or(cmp.Compare(a.of, b.of), cmp.Compare(a.key, b.key), cmp.Compare(a.with, b.with), cmp.Compare(a.winner, b.winner))
	})
	all := map[string][]v1alpha1.TuningConflict{}
	for _, k := range keys {
		if len(all[k.of]) < maxConflicts {
			all[k.of] = append(all[k.of], v1alpha1.TuningConflict{Key: k.key, With: k.with, Winner: k.winner, Nodes: f[k]})
		}
	}
	return all
}
