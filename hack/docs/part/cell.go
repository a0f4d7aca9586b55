package part

import "strings"

// EscapeCell returns text as it is written in a cell of a Markdown table: on one line,
// with escaped bars.
func EscapeCell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\n\n", " "), "|", `\|`)
}
