package resolve

import (
	"cmp"
	"maps"
	"slices"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// previewCounts is the number of nodes with each preview. Its keys have no nodes.
type previewCounts map[previewKey]int32

type previewKey struct {
	tuning  string
	preview v1alpha1.TuningPreview
}

// countPreviews counts, for each dry run among the candidates, what enforcing it would
// change if another NodeTuning enforces the setting selected. It skips settings for pods,
// as countPairs does.
func (f previewCounts) countPreviews(candidates []*v1alpha1.Setting, selected *v1alpha1.Setting) {
	if selected.Scope == v1alpha1.ScopePods || selected.Mode == v1alpha1.ModeDryRun {
		return
	}
	for _, s := range candidates {
		if s.Mode != v1alpha1.ModeDryRun {
			continue
		}
		f[previewKey{s.From.Name, v1alpha1.TuningPreview{
			Key: s.Key, Value: s.Value, Current: selected.Value, EnforcedBy: selected.From.Name, Effect: predictEffect(s, selected),
		}}]++
	}
}

// predictEffect returns what would happen if the dry run s were enforced beside current.
func predictEffect(s, current *v1alpha1.Setting) string {
	switch {
	case s.Value == current.Value:
		return v1alpha1.PreviewUnchanged
	case s.From.Priority > current.From.Priority:
		return v1alpha1.PreviewChanged
	case s.From.Priority < current.From.Priority:
		return v1alpha1.PreviewOverridden
	}
	return v1alpha1.PreviewConflicting
}

// addCounts adds the previews of one node, multiplied by a number of nodes.
func (f previewCounts) addCounts(more previewCounts, nodes int32) {
	for k, n := range more {
		f[k] += n * nodes
	}
}

// maxPreviews limits the previews that a NodeTuning lists.
const maxPreviews = 32

// listByTuning returns the sorted previews of each NodeTuning.
func (f previewCounts) listByTuning() map[string][]v1alpha1.TuningPreview {
	keys := slices.SortedFunc(maps.Keys(f), func(a, b previewKey) int {
		return cmp.Or(cmp.Compare(a.preview.Key, b.preview.Key), cmp.Compare(a.preview.EnforcedBy, b.preview.EnforcedBy), cmp.Compare(a.preview.Current, b.preview.Current))
	})
	all := map[string][]v1alpha1.TuningPreview{}
	for _, k := range keys {
		if len(all[k.tuning]) < maxPreviews {
			k.preview.Nodes = f[k]
			all[k.tuning] = append(all[k.tuning], k.preview)
		}
	}
	return all
}

// Strength is the degree to which a setting is in effect on a node.
type Strength int

// The values of Strength, in ascending order.
const (
	NotEnforced   Strength = iota // absent, or a dry run
	UnderPressure                 // enforced while the node is under pressure
	Always
)

// MeasureStrength returns the Strength of s, which may be nil.
func MeasureStrength(s *v1alpha1.Setting) Strength {
	switch {
	case s == nil || s.Mode == v1alpha1.ModeDryRun:
		return NotEnforced
	case s.Activation == v1alpha1.ActivationUnderPressure:
		return UnderPressure
	}
	return Always
}

// Change is a setting that changes on a node. From or To is nil if the node does not have
// the setting before or after.
type Change struct {
	Node     string
	From, To *v1alpha1.Setting
}

// IsLoss reports whether the setting is less strongly in effect after the change. A
// different value is no loss.
func (c Change) IsLoss() bool { return MeasureStrength(c.To) < MeasureStrength(c.From) }

// Compare returns the settings that differ between two results, by node in the order of
// nodes and then by ID.
func Compare(before, after *Result, nodes []Node) (changes []Change) {
	for _, n := range nodes {
		was, is := before.listWinners(n.Name), after.listWinners(n.Name)
		ids := maps.Clone(was)
		if ids == nil {
			ids = map[string]*v1alpha1.Setting{}
		}
		maps.Copy(ids, is)
		for _, id := range slices.Sorted(maps.Keys(ids)) {
			if was[id] == nil || is[id] == nil || !settings.HasSameEffect(was[id], is[id]) {
				changes = append(changes, Change{Node: n.Name, From: was[id], To: is[id]})
			}
		}
	}
	return changes
}

// listWinners returns the settings that the node should have, by ID.
func (r *Result) listWinners(node string) map[string]*v1alpha1.Setting {
	if class := r.classes[node]; class != nil {
		return class.winners
	}
	return nil
}
