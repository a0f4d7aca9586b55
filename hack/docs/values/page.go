package main

import (
	"fmt"
	"math"
	"regexp"
	"strings"
)

// valueEntry is a key of values.yaml with the comment above it.
type valueEntry struct {
	path    string
	value   string // "" is that of a key with others below it
	comment []string
}

// renderTable is a table of all values, in their order.
func renderTable(text string) string {
	var b strings.Builder
	b.WriteString("\n| value | default | |\n|---|---|---|\n")
	for _, e := range parseValues(text) {
		value := ""
		if e.value != "" {
			value = "`" + escapeCell(e.value) + "`"
		} else if len(e.comment) == 0 {
			continue // a group that says nothing
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", e.path, value, escapeCell(joinComment(e.comment)))
	}
	b.WriteString("\n")
	return b.String()
}

var keyPattern = regexp.MustCompile(`^([A-Za-z]+):(?: (.+))?$`)

// parseValues reads values.yaml, as it is written here: two spaces a level, one comment
// above a key and at its level, lists at the level of their key.
func parseValues(text string) (list []valueEntry) {
	var path, comment []string
	item := math.MaxInt // how far the list is indented that is being read
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		trimmed := strings.TrimLeft(line, " ")
		indent := len(line) - len(trimmed)
		dash := strings.HasPrefix(trimmed, "- ")
		if dash {
			item = indent
		}
		switch m := keyPattern.FindStringSubmatch(trimmed); {
		case trimmed == "":
			comment = nil
		case strings.HasPrefix(trimmed, "#"):
			comment = append(comment, strings.TrimPrefix(trimmed, "#"))
		case dash || indent > item:
			last := &list[len(list)-1]
			last.value = strings.TrimSpace(last.value + " " + trimmed)
		case len(m) > 0:
			path = append(path[:indent/2], m[1])
			list = append(list, valueEntry{strings.Join(path, "."), m[2], comment})
			comment, item = nil, math.MaxInt
		}
	}
	return list
}

// joinComment is a comment on one line; what is indented in it begins a new one.
func joinComment(comment []string) string {
	var b strings.Builder
	for _, line := range comment {
		text := strings.TrimSpace(line)
		switch term, what, ok := strings.Cut(text, "  "); {
		case strings.HasPrefix(line, "   ") && !strings.HasPrefix(line, "    ") && ok:
			fmt.Fprintf(&b, "<br>`%s`: %s", term, strings.TrimSpace(what))
		case b.Len() == 0:
			b.WriteString(text)
		default:
			b.WriteString(" " + text)
		}
	}
	return b.String()
}

// escapeCell is text that stands in a table.
func escapeCell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
