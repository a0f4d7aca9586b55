package terminal

import (
	"slices"
	"strings"
)

// Column is a column of a table: a heading, and a cell for each row.
type Column struct {
	Heading string
	cells   [][]Span
	// AlignRight aligns the cells at their right, for numbers.
	AlignRight bool
	// MaxWidth limits the width; 0 means no limit.
	MaxWidth int
	// CanShrink allows the column to become narrower, down to MinWidth, if the table is
	// wider than the terminal.
	CanShrink bool
	MinWidth  int
	// IsOptional allows the column to be omitted if the table is wider than the terminal.
	IsOptional bool
}

// AddCell adds the cell of the next row.
func (c *Column) AddCell(cell ...Span) { c.cells = append(c.cells, cell) }

// isEmpty reports whether every cell is blank.
func (c *Column) isEmpty() bool {
	return !slices.ContainsFunc(c.cells, func(cell []Span) bool { return !isBlank(cell) })
}

func (c *Column) measureWidth(b *Builder) int {
	width := b.MeasureText(c.Heading)
	for _, cell := range c.cells {
		width = max(width, b.MeasureSpans(cell...))
	}
	if c.MaxWidth > 0 {
		width = min(width, c.MaxWidth)
	}
	return width
}

const columnGap = "  "

// WriteTable writes the columns that have content, side by side.
func (b *Builder) WriteTable(columns []*Column) {
	columns, widths := b.fitColumns(columns)
	heading := make([]Span, 0, len(columns))
	for i, c := range columns {
		heading = append(heading, b.alignCell(c, []Span{Dim(c.Heading)}, widths[i], i == len(columns)-1)...)
	}
	b.WriteLine(heading...)
	if len(columns) == 0 {
		return
	}
	for row := range columns[0].cells {
		var line []Span
		last := lastColumnWithContent(columns, row)
		for i, c := range columns[:last+1] {
			line = append(line, b.alignCell(c, c.cells[row], widths[i], i == last)...)
		}
		b.WriteLine(line...)
	}
}

// lastColumnWithContent returns the index of the last column whose cell in that row
// isn't blank.
func lastColumnWithContent(columns []*Column, row int) int {
	for i := len(columns) - 1; i > 0; i-- {
		if !isBlank(columns[i].cells[row]) {
			return i
		}
	}
	return 0
}

func isBlank(cell []Span) bool {
	return !slices.ContainsFunc(cell, func(s Span) bool { return s.text != "" })
}

// fitColumns omits empty columns, then shrinks columns and omits optional ones until the
// rest fits the terminal.
func (b *Builder) fitColumns(all []*Column) (columns []*Column, widths []int) {
	for _, c := range all {
		if len(c.cells) == 0 || !c.isEmpty() {
			columns = append(columns, c)
		}
	}
	for {
		widths = nil
		total := -len(columnGap)
		for _, c := range columns {
			widths = append(widths, c.measureWidth(b))
			total += len(columnGap) + widths[len(widths)-1]
		}
		excess := total - b.Width
		for i, c := range columns {
			if c.CanShrink && excess > 0 {
				shrunk := min(excess, max(0, widths[i]-c.MinWidth))
				widths[i] -= shrunk
				excess -= shrunk
			}
		}
		if excess <= 0 {
			return columns, widths
		}
		before := len(columns)
		columns = removeLastOptional(columns)
		if len(columns) == before {
			return columns, widths
		}
	}
}

func removeLastOptional(columns []*Column) []*Column {
	for i, c := range slices.Backward(columns) {
		if c.IsOptional {
			return slices.Concat(columns[:i], columns[i+1:])
		}
	}
	return columns
}

// alignCell returns a cell in exactly width columns and the gap to the next one; the
// last cell of a line needs neither.
func (b *Builder) alignCell(c *Column, cell []Span, width int, isLast bool) []Span {
	used := b.MeasureSpans(cell...)
	if used > width && len(cell) == 1 {
		cell = []Span{{b.TruncateMiddle(cell[0].text, width), cell[0].style}}
		used = b.MeasureSpans(cell...)
	}
	padding := Plain(strings.Repeat(" ", max(0, width-used)))
	switch {
	case c.AlignRight && isLast:
		return append([]Span{padding}, cell...)
	case c.AlignRight:
		return append(append([]Span{padding}, cell...), Plain(columnGap))
	case isLast:
		return cell
	}
	return append(append([]Span(nil), cell...), padding, Plain(columnGap))
}
