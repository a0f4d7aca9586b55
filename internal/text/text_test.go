package text_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"portreeve.io/portreeve/internal/text"
)

func TestTruncate(t *testing.T) {
	tests := map[string]struct {
		s     string
		limit int
		want  string
	}{
		"short text stays":                {"abc", 3, "abc"},
		"long text ends with an ellipsis": {"abcd", 3, "ab…"},
		"characters count, not bytes":     {"äöü", 3, "äöü"},
		"an empty text stays":             {"", 3, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := text.Truncate(tt.s, tt.limit); got != tt.want {
				t.Errorf("Truncate(%q, %d) = %q, want %q", tt.s, tt.limit, got, tt.want)
			}
		})
	}
}

func TestTruncateBytes(t *testing.T) {
	tests := map[string]struct {
		s     string
		limit int
		want  string
	}{
		"short text stays":                   {"abc", 3, "abc"},
		"long text ends with an ellipsis":    {"abcdefg", 6, "abc…"},
		"a character is never cut in halves": {"aäääää", 6, "aä…"},
		"only the ellipsis fits":             {"abcd", 3, "…"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := text.TruncateBytes(tt.s, tt.limit); got != tt.want {
				t.Errorf("TruncateBytes(%q, %d) = %q, want %q", tt.s, tt.limit, got, tt.want)
			}
		})
	}
}

func TestFormatNumbers(t *testing.T) {
	tests := map[string]struct{ got, want string }{
		"one is singular":               {text.FormatPlural(1, "port"), "1 port"},
		"none is plural":                {text.FormatPlural(int64(0), "port"), "0 ports"},
		"several are plural":            {text.FormatPlural(int32(2), "port"), "2 ports"},
		"below a thousand":              {text.FormatThousands(999), "999"},
		"groups keep their zeros":       {text.FormatThousands(1000005), "1,000,005"},
		"a range's usual size in ports": {text.FormatThousands(28232), "28,232"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.got != tt.want {
				t.Errorf("got %q, want %q", tt.got, tt.want)
			}
		})
	}
}

func FuzzMakePrintable(f *testing.F) {
	f.Add("checkout\x1b[31m\n\u202e\xff ok")
	f.Fuzz(func(t *testing.T, s string) {
		got := text.MakePrintable(s, '?')
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(got) {
			t.Errorf("MakePrintable(%q) = %q", s, got)
		}
		if again := text.MakePrintable(got, '?'); again != got {
			t.Errorf("MakePrintable(%q) = %q: it is not stable", got, again)
		}
	})
}

func FuzzTruncate(f *testing.F) {
	f.Add("aäääää", 6)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < 3 || !utf8.ValidString(s) {
			return
		}
		if got := text.TruncateBytes(s, limit); len(got) > limit || !utf8.ValidString(got) {
			t.Errorf("TruncateBytes(%q, %d) = %q", s, limit, got)
		}
		if got := text.Truncate(s, limit); utf8.RuneCountInString(got) > limit || !utf8.ValidString(got) {
			t.Errorf("Truncate(%q, %d) = %q", s, limit, got)
		}
	})
}
