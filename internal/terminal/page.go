package terminal

import "strings"

// Page collects lines. Text enters it as spans only, which are cleaned here: the
// one way to the writer.
type Page struct {
	Options
	out strings.Builder
}

// NewPage is an empty page for the terminal that o describes.
func NewPage(o Options) *Page {
	if o.Width == 0 {
		o.Width = 80
	}
	o.Width = max(60, o.Width)
	return &Page{Options: o}
}

func (g *Page) String() string { return g.out.String() }

// Room is how many columns spans take.
func (g *Page) Room(spans ...Span) (n int) {
	for _, s := range spans {
		n += g.Columns(s.text)
	}
	return n
}

// Line writes spans as one line, cut where the terminal ends.
func (g *Page) Line(spans ...Span) {
	room := g.Width
	for _, s := range spans {
		text := g.head(s.text, room)
		room -= columns(text)
		g.styled(text, s.style)
	}
	g.out.WriteByte('\n')
}

func (g *Page) styled(text string, st style) {
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

// Wrap writes text in as many lines as it takes, broken between words, all but
// the first indented to where the label ends.
func (g *Page) Wrap(label, text string) {
	line, indent := label, strings.Repeat(" ", g.Columns(label))
	empty := true
	for word := range strings.FieldsSeq(g.clean(text)) {
		if !empty && g.Columns(line)+1+columns(word) > g.Width {
			g.Line(Plain(line))
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	if !empty || label != "" {
		g.Line(Plain(line))
	}
}

// Items writes a list, broken between items only.
func (g *Page) Items(label string, items []string) {
	line, indent := label, strings.Repeat(" ", g.Columns(label))
	if len(items) == 0 {
		items = []string{"none"}
	}
	for i, item := range items {
		if i > 0 && g.Columns(line)+2+g.Columns(item) > g.Width {
			g.Line(Plain(line))
			line = indent + item
			continue
		}
		if i > 0 {
			line += "  "
		}
		line += item
	}
	g.Line(Plain(line))
}
