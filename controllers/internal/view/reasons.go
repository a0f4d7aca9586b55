package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
	"portreeve.io/portreeve/internal/text"
)

// settingReason is the reason why a setting is not applied, as nodes report it.
type settingReason struct {
	key, message string
	state        v1alpha1.SettingState
}

// Limits of the list of reasons.
const (
	maxReasons        = 10
	maxNodesPerReason = 5
)

// writeReasons writes why settings are not applied, each reason once with its nodes.
func writeReasons(b *terminal.Builder, nodes []tunedNode) {
	nodesByReason := map[settingReason][]string{}
	for _, n := range nodes {
		for _, s := range n.settings {
			if s.State != v1alpha1.SettingApplied && s.Message != "" {
				r := settingReason{key: s.Key, message: s.Message, state: s.State}
				nodesByReason[r] = append(nodesByReason[r], n.Name)
			}
		}
	}
	if len(nodesByReason) == 0 {
		return
	}
	b.WriteLine()
	b.WriteLine(terminal.Bold("Reasons"))
	all := sortReasons(nodesByReason)
	for _, r := range all[:min(maxReasons, len(all))] {
		b.WriteLine(terminal.Plain("  "), formatState(r.state),
			terminal.Plain("  "+r.key+" on "+formatNodeNames(nodesByReason[r])))
		b.WriteWrapped("    ", r.message)
	}
	if more := len(all) - maxReasons; more > 0 {
		b.WriteLine(terminal.Plain("  " + text.FormatPlural(more, "more reason")))
	}
}

// sortReasons returns the reasons, the most severe first.
func sortReasons(nodesByReason map[settingReason][]string) []settingReason {
	var all []settingReason
	for r := range nodesByReason {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b settingReason) int {
		return cmp.Or(
			cmp.Compare(severityOf(b.state), severityOf(a.state)),
			cmp.Compare(len(nodesByReason[b]), len(nodesByReason[a])),
			cmp.Compare(a.key, b.key),
			cmp.Compare(a.message, b.message),
		)
	})
	return all
}

func formatNodeNames(nodes []string) string {
	slices.Sort(nodes)
	nodes = slices.Compact(nodes)
	if more := len(nodes) - maxNodesPerReason; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(nodes[:maxNodesPerReason], ", "), more)
	}
	return strings.Join(nodes, ", ")
}
