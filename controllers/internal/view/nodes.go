package view

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
)

// ByHeadroom sorts ps: the least headroom first, of equal ones the fewest ports; what
// was not measured last.
func ByHeadroom(ps []v1alpha1.PortPressure) {
	slices.SortStableFunc(ps, func(a, b v1alpha1.PortPressure) int {
		return cmp.Or(
			cmp.Compare(share(&b), share(&a)),
			cmp.Compare(ports(&a), ports(&b)),
			cmp.Compare(a.Name, b.Name),
		)
	})
}

// share is usedPercent, and -1 where nothing was measured.
func share(p *v1alpha1.PortPressure) int32 {
	if p.Status.UsedPercent == nil {
		return -1
	}
	return *p.Status.UsedPercent
}

// ports is how many the tightest pool has left at least.
func ports(p *v1alpha1.PortPressure) int32 {
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

// Nodes is a row for each of ps, in their order.
func Nodes(ps []v1alpha1.PortPressure, o Options) string {
	g := terminal.NewPage(o.Options)
	g.Line(census(ps, o)...)
	if len(ps) == 0 {
		return g.String()
	}
	node := &column{head: "NODE", most: 32, gives: true, least: 12}
	level := &column{head: "LEVEL"}
	used, left := &column{head: "USED"}, &column{head: "LEFT", right: true}
	runs := &column{head: "LASTS", right: true}
	tightest := &column{head: "TIGHTEST", gives: true, least: 16}
	why, seen := &column{head: "CAUSE", spare: true}, &column{head: "SEEN"}
	columns := []*column{node, level, used, left, runs, tightest, why, seen}
	for i := range ps {
		p, s := &ps[i], &ps[i].Status
		node.add(terminal.Plain(p.Name))
		level.add(levelOf(p))
		used.add(usedOf(p)...)
		left.add(terminal.Plain(leftOf(p)))
		runs.add(terminal.Plain(runsOut(s.ExhaustionSeconds)))
		tightest.add(terminal.Plain(summary(p)))
		why.add(terminal.Plain(string(s.Cause)))
		seen.add(o.seen(p))
	}
	if o.Wide {
		why.spare = false
		node.most, node.gives, tightest.gives = 0, false, false
		columns = append(columns, wide(ps)...)
	} else {
		columns = slices.DeleteFunc(columns, func(c *column) bool { return c == level })
	}
	draw(g, columns)
	return g.String()
}

// wide is the columns that -o wide adds.
func wide(ps []v1alpha1.PortPressure) []*column {
	waiting := &column{head: "TIME_WAIT", right: true}
	conntrack := &column{head: "CONNTRACK", right: true}
	system, reader, version := &column{head: "OS"}, &column{head: "READER"}, &column{head: "VERSION"}
	for i := range ps {
		s := &ps[i].Status
		system.add(terminal.Plain(strings.TrimSpace(s.Platform.OS + " " + s.Platform.Kernel + s.Platform.Build)))
		reader.add(terminal.Plain(s.Reader.Name))
		version.add(terminal.Plain(s.AgentVersion))
		var tw, ct string
		if s.States != nil {
			tw = strconv.FormatInt(s.States.TimeWait, 10)
		}
		if s.Conntrack != nil {
			ct = fmt.Sprintf("%d %%", s.Conntrack.UsedPercent)
		}
		waiting.add(terminal.Plain(tw))
		conntrack.add(terminal.Plain(ct))
	}
	return []*column{waiting, conntrack, system, reader, version}
}

func levelOf(p *v1alpha1.PortPressure) terminal.Span {
	level := p.Status.Level
	if level == "" {
		level = "Unknown"
	}
	if p.Status.UsedPercent == nil {
		return terminal.Dim(string(level))
	}
	return terminal.Graded(string(level), *p.Status.UsedPercent, p.Spec.Thresholds)
}

func usedOf(p *v1alpha1.PortPressure) []terminal.Span {
	if p.Status.UsedPercent == nil {
		return []terminal.Span{terminal.Dim("not measured")}
	}
	return terminal.Bar(*p.Status.UsedPercent, p.Spec.Thresholds)
}

func leftOf(p *v1alpha1.PortPressure) string {
	if p.Status.Tightest == nil {
		return ""
	}
	return terminal.Left(*p.Status.Tightest, p.Status.Reader.Exactness)
}

// summary is the tightest pool, or why there is none.
func summary(p *v1alpha1.PortPressure) string {
	switch s := &p.Status; {
	case s.Tightest != nil:
		return s.Tightest.Summary
	case s.ObservedAt == nil:
		return "its agent has never reported"
	case len(s.Unobserved) > 0:
		return s.Unobserved[0].Item + ": " + s.Unobserved[0].Reason
	}
	return ""
}

// census is how many nodes are how well, the worst first.
func census(ps []v1alpha1.PortPressure, o Options) []terminal.Span {
	counts, silent := map[v1alpha1.Level]int{}, 0
	for i := range ps {
		counts[ps[i].Status.Level]++
		if ps[i].Labels[v1alpha1.LabelAgent] == v1alpha1.AgentSilent {
			silent++
		}
	}
	line := []terminal.Span{terminal.Bold(plural(len(ps), "node"))}
	for _, l := range []struct {
		level v1alpha1.Level
		name  string
	}{{v1alpha1.LevelCritical, "Critical"}, {v1alpha1.LevelWarning, "Warning"}, {v1alpha1.LevelNormal, "Normal"}, {"", "unknown"}} {
		if n := counts[l.level]; n > 0 {
			line = append(line, terminal.Plain(fmt.Sprintf("  %d %s", n, l.name)))
		}
	}
	if silent > 0 {
		line = append(line, terminal.Alarm(fmt.Sprintf("  %s silent", plural(silent, "agent"))))
	}
	return append(line, o.stale()...)
}

// stale says that the picture stands still, and why.
func (o Options) stale() []terminal.Span {
	if o.Stale == "" {
		return nil
	}
	return []terminal.Span{terminal.Alarm("  not followed: " + o.Stale)}
}
