package terminal

import (
	"strings"
	"unicode/utf8"
)

func (b *Builder) ellipsis() string {
	if b.ASCII {
		return "..."
	}
	return "…"
}

// truncateEnd returns s, printable and truncated at its end to limit columns.
func (b *Builder) truncateEnd(s string, limit int) string {
	s = b.makePrintable(s)
	if measureWidth(s) <= limit {
		return s
	}
	ellipsis := b.ellipsis()
	if limit < measureWidth(ellipsis) {
		return strings.Repeat(".", max(0, limit))
	}
	return takeStart(s, limit-measureWidth(ellipsis)) + ellipsis
}

// TruncateMiddle returns s, printable and truncated in its middle to limit columns: the
// ends of a name identify it better than its middle.
func (b *Builder) TruncateMiddle(s string, limit int) string {
	s = b.makePrintable(s)
	if measureWidth(s) <= limit {
		return s
	}
	ellipsis := b.ellipsis()
	remaining := limit - measureWidth(ellipsis)
	if remaining < 2 {
		return b.truncateEnd(s, limit)
	}
	return takeStart(s, remaining/2) + ellipsis + takeEnd(s, remaining-remaining/2)
}

// takeStart returns the longest prefix of s that fits in limit columns.
func takeStart(s string, limit int) string {
	for i, r := range s {
		if limit -= measureRune(r); limit < 0 {
			return s[:i]
		}
	}
	return s
}

// takeEnd returns the longest suffix of s that fits in limit columns.
func takeEnd(s string, limit int) string {
	start := len(s)
	for start > 0 {
		r, size := utf8.DecodeLastRuneInString(s[:start])
		if limit -= measureRune(r); limit < 0 {
			break
		}
		start -= size
	}
	return s[start:]
}

// FitText returns s, printable and truncated or padded to exactly width columns.
func (b *Builder) FitText(s string, width int) string {
	s = b.TruncateMiddle(s, width)
	return s + strings.Repeat(" ", max(0, width-measureWidth(s)))
}

// PadLeft returns s, printable and padded at its left to at least width columns.
func (b *Builder) PadLeft(s string, width int) string {
	s = b.makePrintable(s)
	return strings.Repeat(" ", max(0, width-measureWidth(s))) + s
}
