package plan

import (
	"slices"

	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// lists are the ports of each part of a list of ports: one on Linux; on Windows one for
// each protocol and family.
type lists []ports.Set

func parseLists(is settings.Setting, value string) (l lists) {
	for _, part := range is.Split(value) {
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
	return is.Join(parts)
}

func (l lists) with(o lists) lists    { return l.each(o, ports.Union) }
func (l lists) without(o lists) lists { return l.each(o, ports.Difference) }
func (l lists) within(o lists) lists  { return l.each(o, ports.Intersection) }

func (l lists) each(o lists, do func(a, b ports.Set) ports.Set) lists {
	out := make(lists, len(l))
	for i := range l {
		out[i] = do(l[i], o[i])
	}
	return out
}

func (l lists) equal(o lists) bool { return slices.Equal(l, o) }
func (l lists) empty() bool        { return l.any() == ports.Set{} }

// any is what is in one of them at least.
func (l lists) any() (p ports.Set) {
	for i := range l {
		p.AddAll(&l[i])
	}
	return p
}
