package view

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/pressuretext"
	"portreeve.io/portreeve/internal/terminal"
	"portreeve.io/portreeve/internal/text"
)

// SortByHeadroom sorts ps by used percent, highest first, then by the number of ports
// left. Nodes that were not measured come last.
func SortByHeadroom(ps []v1alpha1.PortPressure) {
	slices.SortStableFunc(ps, func(a, b v1alpha1.PortPressure) int {
		return cmp.Or(
			cmp.Compare(usedPercentOf(&b), usedPercentOf(&a)),
			cmp.Compare(countPortsLeft(&a), countPortsLeft(&b)),
			cmp.Compare(a.Name, b.Name),
		)
	})
}

// usedPercentOf returns the used percent of the tightest pool, or -1 if no pool was
// measured.
func usedPercentOf(p *v1alpha1.PortPressure) int32 {
	if p.Status.UsedPercent == nil {
		return -1
	}
	return *p.Status.UsedPercent
}

// countPortsLeft returns the least number of ports that the tightest pool has left.
func countPortsLeft(p *v1alpha1.PortPressure) int32 {
	t := p.Status.Tightest
	if t == nil {
		return 0
	}
	used := t.Used
	if t.UsedMax != nil {
		used = max(used, *t.UsedMax)
	}
	return max(0, t.Capacity-used)
}

// FormatNodes returns a table with a row for each of ps, in their order.
func FormatNodes(ps []v1alpha1.PortPressure, o Options) string {
	b := terminal.NewBuilder(o.Options)
	b.WriteLine(countNodesByLevel(ps, o)...)
	if len(ps) == 0 {
		return b.String()
	}
	node := &terminal.Column{Heading: "NODE", MaxWidth: 32, CanShrink: true, MinWidth: 12}
	level := &terminal.Column{Heading: "LEVEL"}
	used, left := &terminal.Column{Heading: "USED"}, &terminal.Column{Heading: "LEFT", AlignRight: true}
	lasts := &terminal.Column{Heading: "LASTS", AlignRight: true}
	tightest := &terminal.Column{Heading: "TIGHTEST", CanShrink: true, MinWidth: 16}
	cause, seen := &terminal.Column{Heading: "CAUSE", IsOptional: true}, &terminal.Column{Heading: "SEEN"}
	columns := []*terminal.Column{node, level, used, left, lasts, tightest, cause, seen}
	for i := range ps {
		p, s := &ps[i], &ps[i].Status
		node.AddCell(terminal.Plain(p.Name))
		level.AddCell(formatLevel(p))
		used.AddCell(formatUsed(p)...)
		left.AddCell(terminal.Plain(formatLeft(p)))
		lasts.AddCell(terminal.Plain(formatExhaustion(s.ExhaustionSeconds)))
		tightest.AddCell(terminal.Plain(formatTightest(p)))
		cause.AddCell(terminal.Plain(string(s.Cause)))
		seen.AddCell(o.formatLastSeen(p))
	}
	if o.Wide {
		cause.IsOptional = false
		node.MaxWidth, node.CanShrink, tightest.CanShrink = 0, false, false
		columns = append(columns, makeWideColumns(ps)...)
	} else {
		columns = slices.DeleteFunc(columns, func(c *terminal.Column) bool { return c == level })
	}
	b.WriteTable(columns)
	return b.String()
}

// makeWideColumns returns the columns that -o wide adds.
func makeWideColumns(ps []v1alpha1.PortPressure) []*terminal.Column {
	timeWait := &terminal.Column{Heading: "TIME_WAIT", AlignRight: true}
	conntrack := &terminal.Column{Heading: "CONNTRACK", AlignRight: true}
	system := &terminal.Column{Heading: "OS"}
	reader := &terminal.Column{Heading: "READER"}
	version := &terminal.Column{Heading: "VERSION"}
	for i := range ps {
		s := &ps[i].Status
		system.AddCell(terminal.Plain(pressuretext.FormatPlatform(s.Platform)))
		reader.AddCell(terminal.Plain(s.Reader.Name))
		version.AddCell(terminal.Plain(s.AgentVersion))
		var sockets, percent string
		if s.States != nil {
			sockets = strconv.FormatInt(s.States.TimeWait, 10)
		}
		if s.Conntrack != nil {
			percent = fmt.Sprintf("%d %%", s.Conntrack.UsedPercent)
		}
		timeWait.AddCell(terminal.Plain(sockets))
		conntrack.AddCell(terminal.Plain(percent))
	}
	return []*terminal.Column{timeWait, conntrack, system, reader, version}
}

func formatLevel(p *v1alpha1.PortPressure) terminal.Span {
	level := p.Status.Level
	if level == "" {
		level = "Unknown"
	}
	if p.Status.UsedPercent == nil {
		return terminal.Dim(string(level))
	}
	return terminal.Coloured(string(level), pressuretext.SelectColour(*p.Status.UsedPercent, p.Spec.Thresholds))
}

func formatUsed(p *v1alpha1.PortPressure) []terminal.Span {
	if p.Status.UsedPercent == nil {
		return []terminal.Span{terminal.Dim("not measured")}
	}
	return pressuretext.FormatUsage(*p.Status.UsedPercent, p.Spec.Thresholds)
}

func formatLeft(p *v1alpha1.PortPressure) string {
	if p.Status.Tightest == nil {
		return ""
	}
	return pressuretext.FormatLeft(*p.Status.Tightest, p.Status.Reader.Exactness)
}

// formatTightest returns the summary of the tightest pool, or the reason why there is
// none.
func formatTightest(p *v1alpha1.PortPressure) string {
	switch s := &p.Status; {
	case s.Tightest != nil:
		return s.Tightest.Summary
	case s.ObservedAt == nil:
		return "agent has never reported"
	case len(s.Unobserved) > 0:
		return s.Unobserved[0].Item + ": " + s.Unobserved[0].Reason
	}
	return ""
}

// countNodesByLevel returns a line with the number of nodes at each level, the worst
// first, and of silent agents.
func countNodesByLevel(ps []v1alpha1.PortPressure, o Options) []terminal.Span {
	counts, silent := map[v1alpha1.Level]int{}, 0
	for i := range ps {
		counts[ps[i].Status.Level]++
		if ps[i].Labels[v1alpha1.LabelAgent] == v1alpha1.AgentSilent {
			silent++
		}
	}
	line := []terminal.Span{terminal.Bold(text.FormatPlural(len(ps), "node"))}
	for _, l := range []struct {
		level v1alpha1.Level
		name  string
	}{
		{v1alpha1.LevelCritical, "Critical"}, {v1alpha1.LevelWarning, "Warning"},
		{v1alpha1.LevelNormal, "Normal"}, {"", "unknown"},
	} {
		if n := counts[l.level]; n > 0 {
			line = append(line, terminal.Plain(fmt.Sprintf("  %d %s", n, l.name)))
		}
	}
	if silent > 0 {
		line = append(line, terminal.Alert(fmt.Sprintf("  %s silent", text.FormatPlural(silent, "agent"))))
	}
	return append(line, o.formatWatchError()...)
}
