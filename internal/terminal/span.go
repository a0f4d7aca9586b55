package terminal

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

// Colour is the foreground colour of a span.
type Colour style

// The colours.
const (
	Green  = Colour(styleGreen)
	Yellow = Colour(styleYellow)
	Red    = Colour(styleRed)
)

// Span is text in one style.
type Span struct {
	text  string
	style style
}

// Plain returns s without a style.
func Plain(s string) Span { return Span{s, stylePlain} }

// Bold returns s in bold.
func Bold(s string) Span { return Span{s, styleBold} }

// Dim returns s dimmed.
func Dim(s string) Span { return Span{s, styleDim} }

// Coloured returns s in that colour.
func Coloured(s string, c Colour) Span { return Span{s, style(c)} }

// Alert returns s in red, for what needs attention.
func Alert(s string) Span { return Coloured(s, Red) }

// MakeBold returns s in bold besides its own style.
func (s Span) MakeBold() Span { return Span{s.text, s.style | styleBold} }
