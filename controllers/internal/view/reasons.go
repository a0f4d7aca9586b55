package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
)

// reason is what settings that are not applied say, and the nodes where they say it.
type reason struct {
	key, message string
	state        v1alpha1.SettingState
}

// How many reasons are told, and nodes named for each.
const (
	mostReasons = 10
	mostNames   = 5
)

// reasons writes why settings are not applied: what many nodes say, once.
func reasons(g *terminal.Page, nodes []node) {
	where := map[reason][]string{}
	for _, n := range nodes {
		for _, s := range n.settings {
			if s.State != v1alpha1.SettingApplied && s.Message != "" {
				r := reason{s.Key, s.Message, s.State}
				where[r] = append(where[r], n.Name)
			}
		}
	}
	if len(where) == 0 {
		return
	}
	g.Line()
	g.Line(terminal.Bold("Why"))
	all := ordered(where)
	for _, r := range all[:min(mostReasons, len(all))] {
		g.Line(terminal.Plain("  "), state(r.state), terminal.Plain("  "+r.key+" on "+names(where[r])))
		g.Wrap("    ", r.message)
	}
	if more := len(all) - mostReasons; more > 0 {
		g.Line(terminal.Plain("  " + plural(more, "more reason")))
	}
}

// ordered is the reasons that need a look first, first.
func ordered(where map[reason][]string) []reason {
	var all []reason
	for r := range where {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b reason) int {
		return cmp.Or(cmp.Compare(rank(b.state), rank(a.state)), cmp.Compare(len(where[b]), len(where[a])),
			cmp.Compare(a.key, b.key), cmp.Compare(a.message, b.message))
	})
	return all
}

func names(nodes []string) string {
	slices.Sort(nodes)
	nodes = slices.Compact(nodes)
	if more := len(nodes) - mostNames; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(nodes[:mostNames], ", "), more)
	}
	return strings.Join(nodes, ", ")
}
