package terminal

import (
	"cmp"
	"fmt"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
)

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

// Span is text in one style.
type Span struct {
	text  string
	style style
}

// Plain is s in no style.
func Plain(s string) Span { return Span{s, stylePlain} }

// Bold is for what one reads first.
func Bold(s string) Span { return Span{s, styleBold} }

// Dim is for what one may skip.
func Dim(s string) Span { return Span{s, styleDim} }

// Graded is s in the colour of the level that percent is at: green, yellow from the
// warning line on, red from the critical one on.
func Graded(s string, percent int32, t v1alpha1.Thresholds) Span {
	switch {
	case percent >= cmp.Or(t.CriticalPercent, v1alpha1.DefaultCriticalPercent):
		return Span{s, styleRed}
	case percent >= cmp.Or(t.WarningPercent, v1alpha1.DefaultWarningPercent):
		return Span{s, styleYellow}
	}
	return Span{s, styleGreen}
}

// Alarm is for what needs a look, whatever the level.
func Alarm(s string) Span { return Span{s, styleRed} }

// Text is what s says.
func (s Span) Text() string { return s.text }

// Cut is s, cut in its middle to room columns of g.
func (s Span) Cut(g *Page, room int) Span { return Span{g.Cut(s.text, room), s.style} }

// Bold is s, and bold.
func (s Span) Bold() Span { return Span{s.text, s.style | styleBold} }

const barColumns = 10

// Progress is percent of something that is wanted, as a bar.
func Progress(percent int32) Span {
	full := min(barColumns, max(0, int(percent)*barColumns/100))
	return Plain(strings.Repeat("█", full) + strings.Repeat("░", barColumns-full))
}

// Bar is percent as a bar of ten columns, and in figures, in the colour of its level.
func Bar(percent int32, t v1alpha1.Thresholds) []Span {
	full := min(barColumns, max(0, int(percent)*barColumns/100))
	return []Span{
		Graded(strings.Repeat("█", full), percent, t), Dim(strings.Repeat("░", barColumns-full)),
		Graded(fmt.Sprintf("%4d %%", percent), percent, t),
	}
}
