package terminal

import (
	"strings"
	"unicode/utf8"
)

func (g *Page) ellipsis() string {
	if g.ASCII {
		return "..."
	}
	return "…"
}

// head is s, cleaned, cut at its end to room columns.
func (g *Page) head(s string, room int) string {
	s = g.clean(s)
	if columns(s) <= room {
		return s
	}
	mark := g.ellipsis()
	if room < columns(mark) {
		return strings.Repeat(".", max(0, room))
	}
	return take(s, room-columns(mark)) + mark
}

// Cut is s, cleaned, cut in its middle to room columns: the ends of a name tell
// more than its middle.
func (g *Page) Cut(s string, room int) string {
	s = g.clean(s)
	if columns(s) <= room {
		return s
	}
	mark := g.ellipsis()
	left := room - columns(mark)
	if left < 2 {
		return g.head(s, room)
	}
	return take(s, left/2) + mark + takeEnd(s, left-left/2)
}

// take is as much of the start of s as fits in room columns.
func take(s string, room int) string {
	for i, r := range s {
		if room -= runeColumns(r); room < 0 {
			return s[:i]
		}
	}
	return s
}

// takeEnd is as much of the end of s as fits in room columns.
func takeEnd(s string, room int) string {
	start := len(s)
	for start > 0 {
		r, size := utf8.DecodeLastRuneInString(s[:start])
		if room -= runeColumns(r); room < 0 {
			break
		}
		start -= size
	}
	return s[start:]
}

// Pad is s, cleaned, cut or filled up to exactly room columns.
func (g *Page) Pad(s string, room int) string {
	s = g.Cut(s, room)
	return s + strings.Repeat(" ", max(0, room-columns(s)))
}
