package plan

import (
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// parsePorts returns the empty set for a value that is not a list of ports.
func parsePorts(value string) ports.Set {
	list, err := ports.ParseList(value)
	if err != nil || list == nil {
		return ports.Set{}
	}
	return *list
}

// parseRangePorts returns the ports that connect() may choose with a range set to
// value.
func parseRangePorts(def settings.Setting, value string) ports.Set {
	return parseRanges(def, value).mergeAll()
}

// findGainedPorts returns the ports that connect() may choose with next but not with
// before.
func findGainedPorts(def settings.Setting, before, next string) ports.Set {
	return parseRanges(def, next).subtract(parseRanges(def, before)).mergeAll()
}

// parseRanges returns the ports of each part of a range.
func parseRanges(def settings.Setting, value string) (l portLists) {
	parse := settings.ParseSpan
	if def.OS == settings.Windows {
		parse = settings.ParseBlock
	}
	for _, part := range def.SplitParts(value) {
		var p ports.Set
		if r, err := parse(part); err == nil {
			p.AddRange(r)
		}
		l = append(l, p)
	}
	return l
}
