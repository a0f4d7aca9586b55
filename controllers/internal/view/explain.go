package view

import (
	"fmt"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/pressuretext"
	"portreeve.io/portreeve/internal/terminal"
)

// causesLink is the document that has a section for each cause.
const causesLink = "docs/causes.md#"

// FormatNode explains a node: its pools, their users, the cause, the advice, helpful
// settings, the last pressure and the settings in effect.
func FormatNode(p v1alpha1.PortPressure, o Options) string {
	b := terminal.NewBuilder(o.Options)
	writeAgentNotice(b, &p, o)
	if p.Status.ObservedAt == nil {
		return b.String()
	}
	pressuretext.Write(b, p, 0)
	writeDetails(b, &p, findNetwork(&p, p.Status.Tightest), o)
	return b.String()
}

// writeDetails writes the part after the figures. n is the network of the tightest pool,
// nil if it isn't listed.
func writeDetails(b *terminal.Builder, p *v1alpha1.PortPressure, n *v1alpha1.Network, o Options) {
	s := &p.Status
	var lines []labelledLine
	if s.Tightest != nil {
		if holder := formatHolder(s.Tightest.Holder); holder != "" {
			lines = append(lines, labelledLine{"Used by        ", holder})
		}
	}
	if s.LastPressure != nil {
		lines = append(lines, labelledLine{"Last pressure  ", formatLastPressure(s, o)})
	}
	for i, suggestion := range suggestSettings(p, n) {
		label := "               "
		if i == 0 {
			label = "Would help     "
		}
		lines = append(lines, labelledLine{label, suggestion})
	}
	if s.Cause != "" {
		lines = append(lines, labelledLine{"More           ", causesLink + strings.ToLower(string(s.Cause))},
			labelledLine{"Next           ", "kubectl portreeve advise " + p.Name + " prints a NodeTuning, or what to fix"})
	}
	if len(lines) > 0 {
		b.WriteLine()
	}
	for _, l := range lines {
		b.WriteWrapped(l.label, l.text)
	}
	writeSettings(b, p)
}

type labelledLine struct{ label, text string }

// writeAgentNotice writes why the report may be out of date, or why there is none.
func writeAgentNotice(b *terminal.Builder, p *v1alpha1.PortPressure, o Options) {
	notice := ""
	switch label := p.Labels[v1alpha1.LabelAgent]; {
	case label == v1alpha1.AgentNone:
		notice = "No agent runs on this node: the DaemonSet doesn't select it, or none is installed for its operating system."
	case label != "":
		notice = "The agent on this node is " + label + ". Check its pod and log (label app.kubernetes.io/component=agent)."
	case p.Status.ObservedAt == nil:
		notice = "The agent on this node has not reported yet."
	case o.isStale(p):
		notice = "Agents report at least every 30 minutes (--heartbeat), but this one has not. Check its log."
	}
	if notice == "" {
		return
	}
	b.WriteLine(terminal.Bold(p.Name), terminal.Plain("  last seen: "), o.formatLastSeen(p))
	b.WriteWrapped("", notice)
	if p.Status.ObservedAt != nil {
		b.WriteWrapped("", "Its last report follows.")
		b.WriteLine()
	}
}

// findNetwork returns the listed network that t is a pool of, nil if there is none.
func findNetwork(p *v1alpha1.PortPressure, t *v1alpha1.Pool) *v1alpha1.Network {
	if t == nil {
		return nil
	}
	for i := range p.Status.Networks {
		if n := &p.Status.Networks[i]; n.Network == t.Network {
			return n
		}
	}
	return nil
}

// formatHolder returns the pod, container and process that use ports.
func formatHolder(h *v1alpha1.Holder) string {
	if h == nil {
		return ""
	}
	var parts []string
	if h.Pod != "" {
		parts = append(parts, "pod "+h.Namespace+"/"+h.Pod)
	}
	if h.Container != "" {
		parts = append(parts, "container "+h.Container)
	}
	if h.Process != "" {
		parts = append(parts, "process "+h.Process)
	}
	if h.PID != 0 {
		parts = append(parts, fmt.Sprintf("PID %d", h.PID))
	}
	return strings.Join(parts, ", ")
}

// formatLastPressure returns the last period in which the level was not Normal.
func formatLastPressure(s *v1alpha1.PortPressureStatus, o Options) string {
	const layout = "2006-01-02 15:04:05"
	l := s.LastPressure
	line := fmt.Sprintf("%s, up to %d %%, since %s UTC", l.Level, l.PeakPercent, l.From.UTC().Format(layout))
	if l.To != nil {
		line = fmt.Sprintf("%s, up to %d %%, from %s to %s UTC, %s ago", l.Level, l.PeakPercent,
			l.From.UTC().Format(layout), l.To.UTC().Format(layout), o.formatAge(l.To))
	}
	if l.To == nil && s.Tightest != nil && l.Summary == s.Tightest.Summary {
		return line // the rest is in the summary
	}
	for _, detail := range []string{l.Summary, string(l.Cause), formatHolder(l.Holder)} {
		if detail != "" {
			line += "; " + detail
		}
	}
	return line
}
