package plan

import (
	"slices"

	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// portLists has a set of ports for each part of a list: one on Linux; on Windows one
// for each protocol and family.
type portLists []ports.Set

func parsePortLists(def settings.Setting, value string) (l portLists) {
	for _, part := range def.SplitParts(value) {
		l = append(l, parsePorts(part))
	}
	return l
}

// formatValue returns l as a value of def.
func (l portLists) formatValue(def settings.Setting) string {
	parts := make([]string, len(l))
	for i := range l {
		parts[i] = l[i].String()
	}
	return def.JoinParts(parts)
}

func (l portLists) unite(o portLists) portLists     { return l.combineEach(o, ports.Union) }
func (l portLists) subtract(o portLists) portLists  { return l.combineEach(o, ports.Difference) }
func (l portLists) intersect(o portLists) portLists { return l.combineEach(o, ports.Intersection) }

func (l portLists) combineEach(o portLists, do func(a, b ports.Set) ports.Set) portLists {
	out := make(portLists, len(l))
	for i := range l {
		out[i] = do(l[i], o[i])
	}
	return out
}

func (l portLists) equals(o portLists) bool { return slices.Equal(l, o) }
func (l portLists) isEmpty() bool           { return l.mergeAll() == ports.Set{} }

// mergeAll returns the ports that are in any of the lists.
func (l portLists) mergeAll() (p ports.Set) {
	for i := range l {
		p.AddAll(&l[i])
	}
	return p
}
