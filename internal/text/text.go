// Package text formats short messages: it truncates them, makes them printable, and
// spells numbers and plurals.
package text

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const ellipsis = "…"

// Truncate returns s with at most limit characters. A longer s ends with "…".
func Truncate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit-1]) + ellipsis
	}
	return s
}

// TruncateBytes returns s with at most limit bytes, which must be 3 or more, and cuts
// only between characters. A longer s ends with "…".
func TruncateBytes(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := limit - len(ellipsis)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}

// FormatPlural returns n and noun, with an s at its end unless n is 1: "1 port", "2 ports".
func FormatPlural[N int | int32 | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// FormatThousands returns n, which must not be negative, with commas: "16,384".
func FormatThousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", FormatThousands(n/1000), n%1000)
}

// MakePrintable returns s on one line and safe for terminals: every white space becomes
// a space, and a character that doesn't print (control characters, escapes,
// bidirectional marks) or isn't UTF-8 becomes replacement.
func MakePrintable(s string, replacement rune) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return replacement
		}
		return r
	}, s)
}
