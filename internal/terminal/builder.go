// Package terminal lays out text for terminals: styled lines, wrapped paragraphs, lists,
// tables and bars that fit a width. It removes every control character from the text that
// it is given, so that no object can control the terminal.
package terminal

import "strings"

// Options describe what the terminal can show.
type Options struct {
	// Width is in columns; 0 means 80, and the minimum is 60.
	Width int
	// Colour allows SGR escape sequences, and no others.
	Colour bool
	// ASCII restricts output to ASCII, for locales that aren't UTF-8.
	ASCII bool
}

// Builder collects lines. Text enters it only as spans, whose control characters it
// removes.
type Builder struct {
	Options
	out strings.Builder
}

// NewBuilder returns an empty Builder for a terminal with these options.
func NewBuilder(o Options) *Builder {
	if o.Width == 0 {
		o.Width = 80
	}
	o.Width = max(60, o.Width)
	return &Builder{Options: o}
}

// String returns the lines written so far.
func (b *Builder) String() string { return b.out.String() }

// WriteLine writes spans as one line, truncated at the terminal's width.
func (b *Builder) WriteLine(spans ...Span) {
	remaining := b.Width
	for _, s := range spans {
		text := b.truncateEnd(s.text, remaining)
		remaining -= measureWidth(text)
		b.writeStyled(text, s.style)
	}
	b.out.WriteByte('\n')
}

func (b *Builder) writeStyled(text string, st style) {
	if !b.Colour || st == stylePlain || text == "" {
		b.out.WriteString(text)
		return
	}
	for _, a := range sgr {
		if st&a.style != 0 {
			b.out.WriteString(a.code)
		}
	}
	b.out.WriteString(text + sgrReset)
}

// WriteWrapped writes label and text, wrapped between words. Continuation lines are
// indented by the width of the label.
func (b *Builder) WriteWrapped(label, text string) {
	line, indent := label, strings.Repeat(" ", b.MeasureText(label))
	isEmpty := true
	for word := range strings.FieldsSeq(b.makePrintable(text)) {
		if !isEmpty && b.MeasureText(line)+1+measureWidth(word) > b.Width {
			b.WriteLine(Plain(line))
			line, isEmpty = indent, true
		}
		if !isEmpty {
			line += " "
		}
		line, isEmpty = line+word, false
	}
	if !isEmpty || label != "" {
		b.WriteLine(Plain(line))
	}
}

// WriteItems writes label and a list, wrapped only between items. An empty list is
// written as "none".
func (b *Builder) WriteItems(label string, items []string) {
	line, indent := label, strings.Repeat(" ", b.MeasureText(label))
	if len(items) == 0 {
		items = []string{"none"}
	}
	for i, item := range items {
		if i > 0 && b.MeasureText(line)+2+b.MeasureText(item) > b.Width {
			b.WriteLine(Plain(line))
			line = indent + item
			continue
		}
		if i > 0 {
			line += "  "
		}
		line += item
	}
	b.WriteLine(Plain(line))
}
