package table

import (
	"strings"
	"unicode"

	"portreeve.io/portreeve/api/v1alpha1"
)

// page collects lines. Text enters it as spans only, which are cleaned here: the
// one way to the writer.
type page struct {
	Options
	thresholds v1alpha1.Thresholds
	out        strings.Builder
}

// style is a set of SGR attributes (ECMA-48, 8.3.117).
type style uint8

const (
	stylePlain style = 0
	styleBold  style = 1 << iota
	styleDim
	styleGreen
	styleYellow
	styleRed
)

var sgr = []struct {
	style style
	code  string
}{
	{styleBold, "\x1b[1m"}, {styleDim, "\x1b[2m"},
	{styleGreen, "\x1b[32m"}, {styleYellow, "\x1b[33m"}, {styleRed, "\x1b[31m"},
}

const sgrReset = "\x1b[0m"

// span is text in one style.
type span struct {
	text  string
	style style
}

func plain(s string) span { return span{s, stylePlain} }
func bold(s string) span  { return span{s, styleBold} }
func dim(s string) span   { return span{s, styleDim} }

func (g *page) levelStyle(percent int32) style {
	switch {
	case percent >= g.thresholds.CriticalPercent:
		return styleRed
	case percent >= g.thresholds.WarningPercent:
		return styleYellow
	}
	return styleGreen
}

// line writes spans as one line, cut where the terminal ends.
func (g *page) line(spans ...span) {
	room := g.Width
	for _, s := range spans {
		text := g.head(s.text, room)
		room -= columns(text)
		g.styled(text, s.style)
	}
	g.out.WriteByte('\n')
}

func (g *page) styled(text string, st style) {
	if !g.Colour || st == stylePlain || text == "" {
		g.out.WriteString(text)
		return
	}
	for _, a := range sgr {
		if st&a.style != 0 {
			g.out.WriteString(a.code)
		}
	}
	g.out.WriteString(text + sgrReset)
}

// wrap writes text in as many lines as it takes, broken between words, all but
// the first indented to where the label ends.
func (g *page) wrap(label, text string) {
	line, indent := label, strings.Repeat(" ", g.columns(label))
	empty := true
	for word := range strings.FieldsSeq(g.clean(text)) {
		if !empty && g.columns(line)+1+columns(word) > g.Width {
			g.line(plain(line))
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	if !empty || label != "" {
		g.line(plain(line))
	}
}

// ascii spells in ASCII what this package writes in Unicode.
var ascii = strings.NewReplacer("→", "->", "…", "...", "·", "-", "█", "#", "░", ".", "≤", "<=", "≥", ">=")

// clean takes out of s what a terminal would obey, or show as nothing: controls,
// format characters such as bidi overrides, and what is not UTF-8.
func (g *page) clean(s string) string {
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

// columns is how wide s is shown, once cleaned.
func (g *page) columns(s string) int { return columns(g.clean(s)) }

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
