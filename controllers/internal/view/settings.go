package view

import (
	"cmp"
	"fmt"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/terminal"
)

// writeSettings writes the desired settings of p and their states.
func writeSettings(b *terminal.Builder, p *v1alpha1.PortPressure) {
	list := listSettings(p, "")
	if len(list) == 0 {
		return
	}
	b.WriteLine()
	b.WriteLine(terminal.Bold("Settings"))
	for _, s := range list {
		desired := "(original value)"
		if s.Desired != nil {
			desired = *s.Desired
		}
		b.WriteLine(terminal.Plain("  "+s.Key+" = "+desired+"  "), formatState(s.State))
		if note := s.formatNote(); note != "" {
			b.WriteWrapped("    ", note)
		}
		if s.Message != "" {
			b.WriteWrapped("    ", s.Message)
		}
	}
}

// settingProgress is the status of a setting, with the NodeTuning that sets it.
type settingProgress struct {
	v1alpha1.SettingStatus
	from       string
	generation int64
}

// listSettings returns the settings of p that the NodeTuning from sets. If from is empty,
// it returns all, including those that no NodeTuning sets any more.
func listSettings(p *v1alpha1.PortPressure, from string) (list []settingProgress) {
	statusByID := map[string]v1alpha1.SettingStatus{}
	for _, s := range p.Status.Settings {
		statusByID[s.ID] = s
	}
	isDesired := map[string]bool{}
	for _, s := range p.Spec.Settings {
		isDesired[s.ID] = true
		if from != "" && s.From.Name != from {
			continue
		}
		status, ok := statusByID[s.ID]
		if !ok || status.Desired == nil || *status.Desired != s.Value {
			status = v1alpha1.SettingStatus{
				ID: s.ID, Key: s.Key, Scope: string(s.Scope), Desired: new(s.Value), State: v1alpha1.SettingPending,
				Message: "not reported by the agent yet", Current: status.Current, Original: status.Original,
			}
		}
		list = append(list, settingProgress{SettingStatus: status, from: s.From.Name, generation: s.From.Generation})
	}
	for _, s := range p.Status.Settings {
		if from == "" && !isDesired[s.ID] {
			list = append(list, settingProgress{SettingStatus: s})
		}
	}
	return list
}

// formatNote returns the current and the original value if they differ, the pods that
// have the setting, and the NodeTuning that sets it.
func (s settingProgress) formatNote() string {
	var parts []string
	if s.Current != nil && (s.Desired == nil || !s.isSameValue(*s.Current, *s.Desired)) {
		parts = append(parts, "is "+cmp.Or(*s.Current, "empty"))
	}
	if s.Original != nil && (s.Current == nil || !s.isSameValue(*s.Original, *s.Current)) {
		parts = append(parts, "was "+cmp.Or(*s.Original, "empty"))
	}
	if s.Scope == string(v1alpha1.ScopePods) {
		pods := "in pods"
		if s.PodsApplied != nil {
			pods += fmt.Sprintf(": applied in %d", *s.PodsApplied)
		}
		if s.PodsRefused != nil && *s.PodsRefused > 0 {
			pods += fmt.Sprintf(", refused for %d", *s.PodsRefused)
		}
		parts = append(parts, pods)
	}
	if s.from != "" {
		parts = append(parts, "from "+s.from)
	}
	return strings.Join(parts, "; ")
}

// isSameValue reports whether a and b are the same value of the setting, regardless of
// their spelling.
func (s settingProgress) isSameValue(a, b string) bool {
	for _, os := range []settings.OS{settings.Linux, settings.Windows} {
		if known, ok := settings.Lookup(os, s.Key); ok {
			return known.IsSame(a, b)
		}
	}
	return a == b
}

// severity orders states: the higher, the more urgent.
var severity = map[v1alpha1.SettingState]int{
	v1alpha1.SettingFailed: 8, v1alpha1.SettingContested: 7, v1alpha1.SettingRefused: 6,
	v1alpha1.SettingRestartRequired: 5, v1alpha1.SettingPending: 4, v1alpha1.SettingDryRun: 3,
	v1alpha1.SettingStandby: 2, v1alpha1.SettingReleased: 1, v1alpha1.SettingApplied: 0,
}

// severityOf returns the severity of s. A state of a newer version counts as Pending.
func severityOf(s v1alpha1.SettingState) int {
	if n, ok := severity[s]; ok {
		return n
	}
	return severity[v1alpha1.SettingPending]
}

func formatState(s v1alpha1.SettingState) terminal.Span {
	if severityOf(s) >= severity[v1alpha1.SettingRefused] {
		return terminal.Alert(string(s))
	}
	return terminal.Plain(string(s))
}
