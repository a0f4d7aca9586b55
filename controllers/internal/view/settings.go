package view

import (
	"cmp"
	"fmt"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/terminal"
)

// writeSettings writes what p is asked to hold, and how far that has come.
func writeSettings(g *terminal.Page, p *v1alpha1.PortPressure) {
	rows := settingsOf(p, "")
	if len(rows) == 0 {
		return
	}
	g.Line()
	g.Line(terminal.Bold("Settings"))
	for _, r := range rows {
		g.Line(terminal.Plain("  "+r.Key+" = "+deref(r.Desired, "(as it was)")+"  "), state(r.State))
		if note := r.note(); note != "" {
			g.Wrap("    ", note)
		}
		if r.Message != "" {
			g.Wrap("    ", r.Message)
		}
	}
}

// setting is how far a setting has come, and who asks for it.
type setting struct {
	v1alpha1.SettingStatus
	from       string
	generation int64
}

// settingsOf is the settings of p that the NodeTuning from asks for; with from "" all
// of them, those included that nobody asks for any more.
func settingsOf(p *v1alpha1.PortPressure, from string) (rows []setting) {
	known := map[string]v1alpha1.SettingStatus{}
	for _, s := range p.Status.Settings {
		known[s.ID] = s
	}
	asked := map[string]bool{}
	for _, s := range p.Spec.Settings {
		asked[s.ID] = true
		if from != "" && s.From.Name != from {
			continue
		}
		status, ok := known[s.ID]
		if !ok || status.Desired == nil || *status.Desired != s.Value {
			status = v1alpha1.SettingStatus{
				ID: s.ID, Key: s.Key, Scope: string(s.Scope), Desired: new(s.Value), State: v1alpha1.SettingPending,
				Message: "the agent has not said anything about it yet", Current: status.Current, Original: status.Original,
			}
		}
		rows = append(rows, setting{status, s.From.Name, s.From.Generation})
	}
	for _, s := range p.Status.Settings {
		if from == "" && !asked[s.ID] {
			rows = append(rows, setting{SettingStatus: s})
		}
	}
	return rows
}

// note is what stands beside a setting.
func (s setting) note() string {
	var parts []string
	if s.Current != nil && (s.Desired == nil || !s.same(*s.Current, *s.Desired)) {
		parts = append(parts, "is "+cmp.Or(*s.Current, "empty"))
	}
	if s.Original != nil && (s.Current == nil || !s.same(*s.Original, *s.Current)) {
		parts = append(parts, "was "+cmp.Or(*s.Original, "empty"))
	}
	if s.Scope == string(v1alpha1.ScopePods) {
		text := "in pods"
		if s.PodsApplied != nil {
			text += fmt.Sprintf(": held in %d", *s.PodsApplied)
		}
		if s.PodsRefused != nil && *s.PodsRefused > 0 {
			text += fmt.Sprintf(", refused for %d", *s.PodsRefused)
		}
		parts = append(parts, text)
	}
	if s.from != "" {
		parts = append(parts, "from "+s.from)
	}
	return strings.Join(parts, "; ")
}

// same says whether a and b are the same value of the setting, however they are spelled.
func (s setting) same(a, b string) bool {
	for _, os := range []settings.OS{settings.Linux, settings.Windows} {
		if known, ok := settings.Lookup(os, s.Key); ok {
			return known.IsSame(a, b)
		}
	}
	return a == b
}

func deref(s *string, otherwise string) string {
	if s == nil {
		return otherwise
	}
	return *s
}

// severity orders states: the one that needs a look first, first.
var severity = map[v1alpha1.SettingState]int{
	v1alpha1.SettingFailed: 8, v1alpha1.SettingContested: 7, v1alpha1.SettingRefused: 6,
	v1alpha1.SettingRestartRequired: 5, v1alpha1.SettingPending: 4, v1alpha1.SettingDryRun: 3,
	v1alpha1.SettingStandby: 2, v1alpha1.SettingReleased: 1, v1alpha1.SettingApplied: 0,
}

// rank is severity; a state of a newer version is looked at early.
func rank(s v1alpha1.SettingState) int {
	if n, ok := severity[s]; ok {
		return n
	}
	return severity[v1alpha1.SettingPending]
}

func state(s v1alpha1.SettingState) terminal.Span {
	if rank(s) >= severity[v1alpha1.SettingRefused] {
		return terminal.Alarm(string(s))
	}
	return terminal.Plain(string(s))
}
