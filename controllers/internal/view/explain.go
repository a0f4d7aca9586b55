package view

import (
	"fmt"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
)

// causes is where each cause has a section.
const causes = "docs/causes.md#"

// Node explains a node: what is short, who holds it, why, what to do and what would
// help, what was, and what is set.
func Node(p v1alpha1.PortPressure, o Options) string {
	g := terminal.NewPage(o.Options)
	silence(g, &p, o)
	if p.Status.ObservedAt == nil {
		return g.String()
	}
	g.Pressure(p)
	n := networkOf(&p, p.Status.Tightest)
	details(g, &p, n, o)
	return g.String()
}

// details is what comes after the figures.
func details(g *terminal.Page, p *v1alpha1.PortPressure, n *v1alpha1.Network, o Options) {
	s := &p.Status
	var lines []labelled
	if s.Tightest != nil {
		if who := holder(s.Tightest.Holder); who != "" {
			lines = append(lines, labelled{"Held by        ", who})
		}
	}
	if s.LastPressure != nil {
		lines = append(lines, labelled{"Last pressure  ", pressure(s, o)})
	}
	for i, gain := range gains(p, n) {
		label := "               "
		if i == 0 {
			label = "Would give     "
		}
		lines = append(lines, labelled{label, gain})
	}
	if s.Cause != "" {
		lines = append(lines, labelled{"More           ", causes + strings.ToLower(string(s.Cause))})
	}
	if len(lines) > 0 {
		g.Line()
	}
	for _, l := range lines {
		g.Wrap(l.label, l.text)
	}
	writeSettings(g, p)
}

type labelled struct{ label, text string }

// silence says that what follows may be old, or that there is nothing.
func silence(g *terminal.Page, p *v1alpha1.PortPressure, o Options) {
	why := ""
	switch label := p.Labels[v1alpha1.LabelAgent]; {
	case label == v1alpha1.AgentNone:
		why = "This node has no agent: the DaemonSet leaves it out, or it is of another operating system."
	case label != "":
		why = "The agent of this node is " + label + ". Its pod and its log say why; it has the label app.kubernetes.io/component=agent."
	case p.Status.ObservedAt == nil:
		why = "The agent of this node has not reported yet."
	case o.Now.Sub(p.Status.ObservedAt.Time) > old:
		why = "An agent reports every half hour at least, unless --heartbeat says otherwise; this one has not. Its log says why."
	}
	if why == "" {
		return
	}
	g.Line(terminal.Bold(p.Name), terminal.Plain("  last seen: "), o.seen(p))
	g.Wrap("", why)
	if p.Status.ObservedAt != nil {
		g.Wrap("", "What follows is what it said last.")
		g.Line()
	}
}

// networkOf is the listed network that t is a pool of; nil where none is.
func networkOf(p *v1alpha1.PortPressure, t *v1alpha1.Pool) *v1alpha1.Network {
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

// holder is who holds ports, in words.
func holder(h *v1alpha1.Holder) string {
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

// pressure is the last time that the level was not Normal.
func pressure(s *v1alpha1.PortPressureStatus, o Options) string {
	const layout = "2006-01-02 15:04:05"
	l := s.LastPressure
	text := fmt.Sprintf("%s, up to %d %%, since %s UTC", l.Level, l.PeakPercent, l.From.UTC().Format(layout))
	if l.To != nil {
		text = fmt.Sprintf("%s, up to %d %%, from %s to %s UTC, %s ago", l.Level, l.PeakPercent,
			l.From.UTC().Format(layout), l.To.UTC().Format(layout), o.age(l.To))
	}
	if l.To == nil && s.Tightest != nil && l.Summary == s.Tightest.Summary {
		return text // the page has told the rest
	}
	for _, more := range []string{l.Summary, string(l.Cause), holder(l.Holder)} {
		if more != "" {
			text += "; " + more
		}
	}
	return text
}
