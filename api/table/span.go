package table

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

// The styles that text may have, beside that of a level (see Graded).
func Plain(s string) Span { return Span{s, stylePlain} }
func Bold(s string) Span  { return Span{s, styleBold} }
func Dim(s string) Span   { return Span{s, styleDim} }

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

// Bold is s, and bold.
func (s Span) Bold() Span { return Span{s.text, s.style | styleBold} }

const barColumns = 10

// Bar is percent as a bar of ten columns, and in figures, in the colour of its level.
func Bar(percent int32, t v1alpha1.Thresholds) []Span {
	full := min(barColumns, max(0, int(percent)*barColumns/100))
	return []Span{
		Graded(strings.Repeat("█", full), percent, t), Dim(strings.Repeat("░", barColumns-full)),
		Graded(fmt.Sprintf("%4d %%", percent), percent, t),
	}
}
