package transition

import (
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/text"
)

// maxNote is the API's limit of a note, in bytes (NoteLengthLimit,
// k8s.io/kubernetes/pkg/apis/core/validation/events.go).
const maxNote = 1024

// Destination returns the address that the change is about, or an empty string.
func (c Change) Destination(s *v1alpha1.PortPressureStatus) string {
	switch {
	case c.Reason == v1alpha1.ReasonPortsExhausted && len(s.Failures) > 0:
		return s.Failures[0].Destination
	case (c.Reason == v1alpha1.ReasonHeadroomLow || c.Reason == v1alpha1.ReasonHeadroomCritical) && s.Tightest != nil:
		return s.Tightest.Destination
	}
	return ""
}

// FormatNote returns the Event note about the change. name is the name of its
// destination, such as "Service shop/db", or empty.
func (c Change) FormatNote(s *v1alpha1.PortPressureStatus, name string) string {
	switch c.Reason {
	case v1alpha1.ReasonHeadroomLow, v1alpha1.ReasonHeadroomCritical:
		return joinSentences(c.formatHeadroom(s, name), formatExhaustion(s), formatCause(s))
	case v1alpha1.ReasonHeadroomRestored:
		return joinSentences("All pools are below the warning threshold again", formatPressure(s.LastPressure))
	case v1alpha1.ReasonPortsExhausted:
		return joinSentences(formatFailures(s.Failures, name), formatCause(s))
	case v1alpha1.ReasonLeakSuspected:
		return formatLeak(s)
	case v1alpha1.ReasonConntrackPressure:
		return joinSentences(formatConntrackPressure(s))
	case v1alpha1.ReasonConntrackRestored:
		return joinSentences("conntrack table has free entries again" + formatMessage(s, v1alpha1.ConditionConntrackAvailable))
	case v1alpha1.ReasonRestartRequired:
		return joinSentences("Restart required to apply"+formatMessage(s, v1alpha1.ConditionRestartRequired), "Portreeve does not restart nodes")
	}
	return c.Reason
}

// joinSentences joins sentences into a note and ends each with a period. Empty ones are
// left out.
func joinSentences(sentences ...string) string {
	var kept []string
	for _, s := range sentences {
		if s = strings.TrimRight(s, ". "); s != "" {
			kept = append(kept, s+".")
		}
	}
	return text.TruncateBytes(strings.Join(kept, " "), maxNote)
}
