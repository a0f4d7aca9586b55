package main

import (
	"fmt"
	"math"
	"regexp"
	"strings"

	"portreeve.io/portreeve/hack/docs/part"
)

// valueEntry is a key of values.yaml with the comment above it.
type valueEntry struct {
	path    string
	value   string // "" if the key has nested keys
	comment []string
}

// renderTable returns a table of all values in file order.
func renderTable(text string) string {
	var b strings.Builder
	b.WriteString("\n| value | default | |\n|---|---|---|\n")
	for _, e := range parseValues(text) {
		value := ""
		if e.value != "" {
			value = "`" + part.EscapeCell(e.value) + "`"
		} else if len(e.comment) == 0 {
			continue // a group without a comment
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", e.path, value, part.EscapeCell(joinComment(e.comment)))
	}
	b.WriteString("\n")
	return b.String()
}

var keyPattern = regexp.MustCompile(`^([A-Za-z]+):(?: (.+))?$`)

// parseValues parses values.yaml, which must be indented by two spaces, with comments above
// keys and at their level, and lists at the level of their key.
func parseValues(text string) (list []valueEntry) {
	var path, comment []string
	item := math.MaxInt // indentation of the current list
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
			list = append(list, valueEntry{path: strings.Join(path, "."), value: m[2], comment: comment})
			comment, item = nil, math.MaxInt
		}
	}
	return list
}

// joinComment joins the lines of a comment; each indented term begins a new line.
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
