package settings

import (
	"slices"
	"strings"

	"portreeve.io/portreeve/internal/ports"
)

type itemGroup struct {
	suffix string
	parts  []string
}

// itemGroups are the ends of an item of windows.excludedPorts, and the parts that the item
// is for, the most parts first.
var itemGroups = []itemGroup{
	{"", exclusionLists},
	{"/tcp", []string{"IPv4 TCP", "IPv6 TCP"}}, {"/udp", []string{"IPv4 UDP", "IPv6 UDP"}},
	{"/ipv4", []string{"IPv4 TCP", "IPv4 UDP"}}, {"/ipv6", []string{"IPv6 TCP", "IPv6 UDP"}},
	{"/tcp/ipv4", []string{"IPv4 TCP"}}, {"/tcp/ipv6", []string{"IPv6 TCP"}},
	{"/udp/ipv4", []string{"IPv4 UDP"}}, {"/udp/ipv6", []string{"IPv6 UDP"}},
}

// formatPortItems returns the value of the items of a list of ports. An item that is none
// becomes a part of the value, which CheckValue refuses.
func (s Setting) formatPortItems(items []string) string {
	if len(s.Parts) == 0 {
		return formatPortList(items)
	}
	parts := make([]string, len(s.Parts))
	for i, name := range s.Parts {
		var own []string
		for _, item := range items {
			port, suffix := splitItem(item)
			for _, g := range itemGroups {
				if g.suffix == suffix && slices.Contains(g.parts, name) {
					own = append(own, port)
				}
			}
		}
		parts[i] = formatPortList(own)
	}
	return s.JoinParts(parts)
}

func formatPortList(items []string) string {
	text := strings.Join(items, ",")
	if list, err := ports.ParseList(text); err == nil {
		return list.String()
	}
	return text
}

// splitItem splits an item into its ports and its end. An unknown end stays with the ports.
func splitItem(item string) (port, suffix string) {
	port, end, hasEnd := strings.Cut(item, "/")
	isKnown := slices.ContainsFunc(itemGroups, func(g itemGroup) bool { return g.suffix == "/"+end })
	if !hasEnd || !isKnown {
		return item, ""
	}
	return port, "/" + end
}

// parsePortItems returns the items of a value of a list of ports.
func (s Setting) parsePortItems(value string) ([]string, error) {
	items := []string{}
	if len(s.Parts) == 0 {
		list, err := ports.ParseList(value)
		return append(items, listItems(list, "")...), err
	}
	rest := map[string]ports.Set{}
	for i, part := range s.SplitParts(value) {
		list, err := ports.ParseList(part)
		if err != nil {
			return items, err
		}
		if list != nil { // not empty
			rest[s.Parts[i]] = *list
		}
	}
	for _, g := range itemGroups {
		common := rest[g.parts[0]]
		for _, part := range g.parts {
			common = ports.Intersection(common, rest[part])
		}
		for _, part := range g.parts {
			rest[part] = ports.Difference(rest[part], common)
		}
		items = append(items, listItems(&common, g.suffix)...)
	}
	return items, nil
}

func listItems(set *ports.Set, suffix string) (items []string) {
	for _, r := range set.ListRanges() {
		one := ports.NewSet(r)
		items = append(items, one.String()+suffix)
	}
	return items
}
