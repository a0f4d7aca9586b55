package view

import (
	"slices"
	"strings"

	"portreeve.io/portreeve/internal/terminal"
)

// column is a heading and a cell for each row.
type column struct {
	head  string
	cells [][]terminal.Span
	// right aligns figures.
	right bool
	// most is how many columns of the terminal it takes at most; 0: as many as it
	// needs.
	most int
	// gives says that it gets narrower, down to least, where the terminal ends.
	gives bool
	least int
	// spare says that it is left out where the terminal ends.
	spare bool
}

func (c *column) add(cell ...terminal.Span) { c.cells = append(c.cells, cell) }

// empty says whether no row has anything in it.
func (c *column) empty() bool {
	return !slices.ContainsFunc(c.cells, func(cell []terminal.Span) bool { return !blank(cell) })
}

func (c *column) width(g *terminal.Page) int {
	width := g.Columns(c.head)
	for _, cell := range c.cells {
		width = max(width, g.Room(cell...))
	}
	if c.most > 0 {
		width = min(width, c.most)
	}
	return width
}

const gap = "  "

// draw writes the columns that have something in them, side by side.
func draw(g *terminal.Page, columns []*column) {
	columns, widths := fit(g, columns)
	head := make([]terminal.Span, 0, len(columns))
	for i, c := range columns {
		head = append(head, aligned(g, c, []terminal.Span{terminal.Dim(c.head)}, widths[i], i == len(columns)-1)...)
	}
	g.Line(head...)
	if len(columns) == 0 {
		return
	}
	for row := range columns[0].cells {
		var line []terminal.Span
		last := lastOf(columns, row)
		for i, c := range columns[:last+1] {
			line = append(line, aligned(g, c, c.cells[row], widths[i], i == last)...)
		}
		g.Line(line...)
	}
}

// lastOf is the last column that has something in that row.
func lastOf(columns []*column, row int) int {
	for i := len(columns) - 1; i > 0; i-- {
		if !blank(columns[i].cells[row]) {
			return i
		}
	}
	return 0
}

func blank(cell []terminal.Span) bool {
	return !slices.ContainsFunc(cell, func(s terminal.Span) bool { return s.Text() != "" })
}

// fit leaves columns out, and makes one narrower, until the rest fits.
func fit(g *terminal.Page, all []*column) (columns []*column, widths []int) {
	for _, c := range all {
		if len(c.cells) == 0 || !c.empty() {
			columns = append(columns, c)
		}
	}
	for {
		widths = nil
		total := -len(gap)
		for _, c := range columns {
			widths = append(widths, c.width(g))
			total += len(gap) + widths[len(widths)-1]
		}
		over := total - g.Width
		for i, c := range columns {
			if c.gives && over > 0 {
				less := min(over, max(0, widths[i]-c.least))
				widths[i] -= less
				over -= less
			}
		}
		if over <= 0 {
			return columns, widths
		}
		before := len(columns)
		columns = withoutLastSpare(columns)
		if len(columns) == before {
			return columns, widths
		}
	}
}

func withoutLastSpare(columns []*column) []*column {
	for i, c := range slices.Backward(columns) {
		if c.spare {
			return slices.Concat(columns[:i], columns[i+1:])
		}
	}
	return columns
}

// aligned is a cell in exactly width columns, and the gap to the next one; the last
// of a line needs neither.
func aligned(g *terminal.Page, c *column, cell []terminal.Span, width int, last bool) []terminal.Span {
	room := g.Room(cell...)
	if room > width && len(cell) == 1 {
		cell = []terminal.Span{cell[0].Cut(g, width)}
		room = g.Room(cell...)
	}
	fill := terminal.Plain(strings.Repeat(" ", max(0, width-room)))
	switch {
	case c.right && last:
		return append([]terminal.Span{fill}, cell...)
	case c.right:
		return append(append([]terminal.Span{fill}, cell...), terminal.Plain(gap))
	case last:
		return cell
	}
	return append(append([]terminal.Span(nil), cell...), fill, terminal.Plain(gap))
}
