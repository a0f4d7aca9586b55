package view

import (
	"cmp"
	"slices"

	"portreeve.io/portreeve/api/v1alpha1"
)

// OrphanedSetting is a setting that a node has although no NodeTuning requests it.
type OrphanedSetting struct {
	Node, ID, Value string
	// From is the NodeTuning that the setting came from, empty if unknown.
	From string
	// Reason explains why the original value is not restored.
	Reason string
}

// ListOrphanedSettings returns the settings that no NodeTuning requests, by node and ID:
// those in a spec whose NodeTuning no longer exists, and those that an agent still has
// although its spec does not contain them. tunings are the names of all NodeTunings.
func ListOrphanedSettings(pressures []v1alpha1.PortPressure, tunings []string) (orphans []OrphanedSetting) {
	for i := range pressures {
		p := &pressures[i]
		for _, s := range p.Spec.Settings {
			if !slices.Contains(tunings, s.From.Name) {
				orphans = append(orphans, OrphanedSetting{
					Node: p.Name, ID: s.ID, Value: s.Value, From: s.From.Name, Reason: "NodeTuning " + s.From.Name + " does not exist",
				})
			}
		}
		orphans = append(orphans, listUnrequested(p)...)
	}
	slices.SortFunc(orphans, func(a, b OrphanedSetting) int { return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.ID, b.ID)) })
	return orphans
}

// listUnrequested returns the settings that the agent has although its current spec does
// not contain them.
func listUnrequested(p *v1alpha1.PortPressure) (orphans []OrphanedSetting) {
	if p.Spec.Settings == nil || p.Status.ObservedGeneration != p.Generation {
		return nil
	}
	for _, s := range p.Status.Settings {
		isRequested := slices.ContainsFunc(p.Spec.Settings, func(desired v1alpha1.Setting) bool { return desired.ID == s.ID })
		if isRequested || s.State == v1alpha1.SettingReleased || s.State == v1alpha1.SettingRestartRequired {
			continue
		}
		o := OrphanedSetting{Node: p.Name, ID: s.ID, Reason: cmp.Or(s.Message, "not restored yet ("+string(s.State)+")")}
		if s.Current != nil {
			o.Value = *s.Current
		}
		orphans = append(orphans, o)
	}
	return orphans
}
