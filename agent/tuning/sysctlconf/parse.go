package sysctlconf

import (
	"fmt"
	"strings"
	"unicode"
)

// Line is a line that sets a sysctl, or is meant to.
type Line struct {
	// File and Number locate the line.
	File   string
	Number int
	// Key is the sysctl's name with dots. A dot within a part, as in eth0.100, is a slash.
	Key string
	// Value is the text after the =, without a comment.
	Value string
}

// Position returns the file and the line number, as compilers print them.
func (l Line) Position() string { return fmt.Sprintf("%s:%d", l.File, l.Number) }

// ParseFile parses the text of a file. It never fails: ConvertLines drops the lines
// without a valid key.
func ParseFile(file string, text []byte) (lines []Line) {
	number := 0
	for raw := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		number++
		raw = strings.TrimSpace(raw)
		if raw == "" || raw[0] == '#' || raw[0] == ';' {
			continue
		}
		key, value, _ := strings.Cut(raw, "=")
		lines = append(lines, Line{File: file, Number: number, Key: normalizeKey(key), Value: trimComment(value)})
	}
	return lines
}

// normalizeKey returns a key with dots, without a leading -, which means that failures are
// ignored.
func normalizeKey(key string) string {
	key = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(key), "-"))
	key = strings.TrimPrefix(key, "/proc/sys/")
	// The first separator in the key is the one that separates its parts.
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '/' {
		return strings.NewReplacer("/", ".", ".", "/").Replace(key)
	}
	return key
}

// trimComment removes a comment after a value. Neither format supports one, but files have
// them, and the kernel ignores text after a number.
func trimComment(value string) string {
	for i := range value {
		if i > 0 && (value[i] == '#' || value[i] == ';') && unicode.IsSpace(rune(value[i-1])) {
			value = value[:i]
			break
		}
	}
	return strings.TrimSpace(value)
}
