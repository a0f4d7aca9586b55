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

// span is the ports that connect() may take by the value of a range.
func span(is settings.Setting, value string) ports.Set { return spans(is, value).any() }

// gained is the ports that connect() may take by the value next, and could not before.
func gained(is settings.Setting, before, next string) ports.Set {
	return spans(is, next).without(spans(is, before)).any()
}

// spans is the ports of each part of a range.
func spans(is settings.Setting, value string) (l lists) {
	parse := settings.ParseSpan
	if is.OS == settings.Windows {
		parse = settings.ParseBlock
	}
	for _, part := range is.Split(value) {
		var p ports.Set
		if r, err := parse(part); err == nil {
			p.AddRange(r)
		}
		l = append(l, p)
	}
	return l
}
