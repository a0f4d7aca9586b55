package settings_test

import (
	"testing"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

func TestSelectCandidate(t *testing.T) {
	candidate := func(from, value string, priority int32, mode v1alpha1.Mode) *v1alpha1.Setting {
		return &v1alpha1.Setting{Key: "k", Value: value, Mode: mode, From: v1alpha1.SettingSource{Name: from, Priority: priority}}
	}
	const enforce, dryRun = v1alpha1.ModeEnforce, v1alpha1.ModeDryRun
	tests := map[string]struct {
		candidates      []*v1alpha1.Setting // in order of precedence
		selected, rival string              // NodeTunings
	}{
		"the only one": {[]*v1alpha1.Setting{candidate("a", "1", 0, enforce)}, "a", ""},
		"an absent mode enforces": {
			[]*v1alpha1.Setting{candidate("a", "1", 1, dryRun), candidate("b", "2", 0, "")}, "b", ""},
		"the first of two with the same value": {
			[]*v1alpha1.Setting{candidate("a", "1", 0, enforce), candidate("b", "1", 0, enforce)}, "a", ""},
		"the higher priority": {
			[]*v1alpha1.Setting{candidate("b", "1", 1, enforce), candidate("a", "2", 0, enforce)}, "b", ""},
		"equal priorities with different values are rivals": {
			[]*v1alpha1.Setting{candidate("a", "1", 0, enforce), candidate("b", "1", 0, enforce), candidate("c", "2", 0, enforce)}, "a", "c"},
		"a dry run of higher priority does not take precedence": {
			[]*v1alpha1.Setting{candidate("a", "1", 9, dryRun), candidate("b", "2", 0, enforce)}, "b", ""},
		"a dry run of equal priority is not a rival": {
			[]*v1alpha1.Setting{candidate("a", "1", 0, dryRun), candidate("b", "2", 0, enforce)}, "b", ""},
		"dry runs among themselves have a precedence": {
			[]*v1alpha1.Setting{candidate("a", "1", 1, dryRun), candidate("b", "2", 0, dryRun)}, "a", ""},
		"dry runs among themselves can be rivals": {
			[]*v1alpha1.Setting{candidate("a", "1", 0, dryRun), candidate("b", "2", 0, dryRun)}, "a", "b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			selected, rival := settings.SelectCandidate(tt.candidates)
			if rival == nil {
				rival = &v1alpha1.Setting{}
			}
			if selected.From.Name != tt.selected || rival.From.Name != tt.rival {
				t.Errorf("selected %q with the rival %q", selected.From.Name, rival.From.Name)
			}
		})
	}
}
