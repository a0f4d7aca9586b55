package terminal

import (
	"strings"
	"unicode"
)

// ascii spells in ASCII what this package writes in Unicode.
var ascii = strings.NewReplacer("→", "->", "…", "...", "·", "-", "█", "#", "░", ".", "≤", "<=", "≥", ">=")

// clean takes out of s what a terminal would obey, or show as nothing: controls,
// format characters such as bidi overrides, and what is not UTF-8.
func (g *Page) clean(s string) string {
	if g.ASCII {
		s = ascii.Replace(s)
	}
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case g.ASCII && (r < ' ' || r > '~'):
			return '?'
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// Columns is how wide s is shown, once cleaned.
func (g *Page) Columns(s string) int { return columns(g.clean(s)) }

// columns counts East Asian characters and emoji as two, combining marks as
// none. Terminals differ here; a column off spoils no more than the alignment.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60,
		r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}
