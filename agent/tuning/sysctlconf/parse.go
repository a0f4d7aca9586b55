package sysctlconf

import (
	"fmt"
	"strings"
	"unicode"
)

// Line is one line that sets something, or means to.
type Line struct {
	// File and Number are where it stands.
	File   string
	Number int
	// Key is the sysctl's name with dots; a dot of its own, as in eth0.100, is a slash.
	Key string
	// Value is what comes after the =, without a comment.
	Value string
}

// Position is its place as compilers print it.
func (l Line) Position() string { return fmt.Sprintf("%s:%d", l.File, l.Number) }

// ParseFile reads the text of a file. No text is wrong: what no key can be made of is a
// Line that Convert drops.
func ParseFile(file string, text []byte) (lines []Line) {
	number := 0
	for raw := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		number++
		raw = strings.TrimSpace(raw)
		if raw == "" || raw[0] == '#' || raw[0] == ';' {
			continue
		}
		key, value, _ := strings.Cut(raw, "=")
		lines = append(lines, Line{file, number, normalizeKey(key), trimComment(value)})
	}
	return lines
}

// normalizeKey spells a key with dots. A leading - says that a failure doesn't matter.
func normalizeKey(key string) string {
	key = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(key), "-"))
	key = strings.TrimPrefix(key, "/proc/sys/")
	// The first separator is the one that separates; the other is part of a name.
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '/' {
		return strings.NewReplacer("/", ".", ".", "/").Replace(key)
	}
	return key
}

// trimComment takes away a comment that was meant to be one. Neither format knows them
// behind a value; the kernel reads numbers up to where they end.
func trimComment(value string) string {
	for i := range value {
		if i > 0 && (value[i] == '#' || value[i] == ';') && unicode.IsSpace(rune(value[i-1])) {
			value = value[:i]
			break
		}
	}
	return strings.TrimSpace(value)
}
