package transition

import (
	"strings"
	"unicode/utf8"

	"portreeve.io/portreeve/api/v1alpha1"
)

// maxNote is the API's limit of a note, in bytes (NoteLengthLimit,
// k8s.io/kubernetes/pkg/apis/core/validation/events.go).
const maxNote = 1024

// Destination is the address that the change is about, or empty.
func (c Change) Destination(s *v1alpha1.PortPressureStatus) string {
	switch {
	case c.Reason == v1alpha1.ReasonPortsExhausted && len(s.Failures) > 0:
		return s.Failures[0].Destination
	case (c.Reason == v1alpha1.ReasonHeadroomLow || c.Reason == v1alpha1.ReasonHeadroomCritical) && s.Tightest != nil:
		return s.Tightest.Destination
	}
	return ""
}

// FormatNote is the change in a few sentences. name is what the cluster calls its
// destination, such as "Service shop/db", or empty.
func (c Change) FormatNote(s *v1alpha1.PortPressureStatus, name string) string {
	switch c.Reason {
	case v1alpha1.ReasonHeadroomLow, v1alpha1.ReasonHeadroomCritical:
		return joinClauses(c.formatHeadroom(s, name), formatExhaustion(s), formatCause(s))
	case v1alpha1.ReasonHeadroomRestored:
		return joinClauses("every pool is below the warning line again", formatPressure(s.LastPressure))
	case v1alpha1.ReasonPortsExhausted:
		return joinClauses(formatFailures(s.Failures, name), formatCause(s))
	case v1alpha1.ReasonLeakSuspected:
		return formatLeak(s)
	case v1alpha1.ReasonConntrackPressure:
		return joinClauses("the connection tracking table has hardly any room, or none" + findMessage(s, v1alpha1.ConditionConntrackAvailable))
	case v1alpha1.ReasonConntrackRestored:
		return joinClauses("the connection tracking table has room again" + findMessage(s, v1alpha1.ConditionConntrackAvailable))
	case v1alpha1.ReasonRestartRequired:
		return joinClauses("settings wait for a restart of the node, which Portreeve leaves to you" + findMessage(s, v1alpha1.ConditionRestartRequired))
	}
	return c.Reason
}

// joinClauses puts clauses together into a note.
func joinClauses(clauses ...string) string {
	var kept []string
	for _, s := range clauses {
		if s = strings.TrimRight(s, ". "); s != "" {
			kept = append(kept, s)
		}
	}
	return clip(strings.Join(kept, "; "))
}

// clip cuts between characters.
func clip(s string) string {
	const more = "…"
	if len(s) <= maxNote {
		return s
	}
	end := maxNote - len(more)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + more
}
