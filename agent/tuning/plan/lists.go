package plan

import (
	"slices"

	"portreeve.io/portreeve/internal/settings"
)

// lists are the ports of each part of a list of ports: one on Linux; on Windows one for
// each protocol and family.
type lists []ports

func parseLists(is settings.Setting, value string) (l lists) {
	for _, part := range is.SplitParts(value) {
		l = append(l, parsePorts(part))
	}
	return l
}

// spell is the lists as a value of is.
func (l lists) spell(is settings.Setting) string {
	parts := make([]string, len(l))
	for i := range l {
		parts[i] = l[i].String()
	}
	return is.JoinParts(parts)
}

func (l lists) with(o lists) lists    { return l.each(o, ports.with) }
func (l lists) without(o lists) lists { return l.each(o, ports.without) }
func (l lists) within(o lists) lists  { return l.each(o, ports.within) }

func (l lists) each(o lists, do func(ports, ports) ports) lists {
	out := make(lists, len(l))
	for i := range l {
		out[i] = do(l[i], o[i])
	}
	return out
}

func (l lists) equal(o lists) bool { return slices.Equal(l, o) }
func (l lists) empty() bool        { return l.any() == ports{} }

// any is what is in one of them at least.
func (l lists) any() (p ports) {
	for i := range l {
		p = p.with(l[i])
	}
	return p
}
