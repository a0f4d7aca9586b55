package terminal

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"portreeve.io/portreeve/internal/text"
)

// asciiReplacer replaces the Unicode characters that Portreeve itself writes.
var asciiReplacer = strings.NewReplacer(
	"→", "->", "…", "...", "·", "-", "█", "#", "░", ".", "≤", "<=", "≥", ">=",
)

// makePrintable returns s on one line and without characters that the terminal would
// interpret or can't show. In ASCII mode every other character becomes "?".
func (b *Builder) makePrintable(s string) string {
	if !b.ASCII {
		return text.MakePrintable(s, unicode.ReplacementChar)
	}
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return '?'
		}
		return r
	}, text.MakePrintable(asciiReplacer.Replace(s), '?'))
}

// MeasureText returns how many columns s takes, once made printable.
func (b *Builder) MeasureText(s string) int { return measureWidth(b.makePrintable(s)) }

// MeasureSpans returns how many columns spans take.
func (b *Builder) MeasureSpans(spans ...Span) int {
	n := 0
	for _, s := range spans {
		n += b.MeasureText(s.text)
	}
	return n
}

// measureWidth returns how many columns s takes.
func measureWidth(s string) int {
	n := 0
	for _, r := range s {
		n += measureRune(r)
	}
	return n
}

// measureRune returns how many columns r takes, whatever the locale: two for East Asian
// wide characters and emoji (UAX #11), none for combining marks. Terminals differ in
// rare cases, which affects nothing but alignment.
func measureRune(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}
