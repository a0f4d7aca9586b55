package terminal

import "testing"

func TestTruncateMiddleKeepsBothEnds(t *testing.T) {
	tests := map[string]struct {
		text  string
		limit int
		ascii bool
		want  string
	}{
		"It fits":               {"process/sleep", 13, false, "process/sleep"},
		"One too long":          {"process/sleep", 12, false, "proce…/sleep"},
		"In ASCII":              {"process/sleep", 12, true, "proc...sleep"},
		"Two columns":           {"process/sleep", 2, false, "p…"},
		"Two columns, in ASCII": {"process/sleep", 2, true, ".."},
		"No columns":            {"process/sleep", 0, false, ""},
		"A negative limit":      {"process/sleep", -3, false, ""},
		"Wide characters":       {"漢漢漢漢漢", 7, false, "漢…漢"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := &Builder{Options: Options{ASCII: test.ascii}}
			if got := b.TruncateMiddle(test.text, test.limit); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestWidthDoesNotDependOnTheLocale(t *testing.T) {
	tests := map[string]struct {
		text string
		want int
	}{
		"ASCII":                         {"node-7", 6},
		"Accents":                       {"é", 1},
		"A combining mark":              {"e\u0301", 1},
		"A combining enclosing mark":    {"1\u20dd", 1},
		"Chinese":                       {"漢字", 4},
		"Hangul":                        {"한", 2},
		"Halfwidth katakana":            {"ｱ", 1},
		"Fullwidth Latin":               {"Ａ", 2},
		"Emoji":                         {"🚀", 2},
		"Emoji of the basic plane":      {"⌚", 2},
		"Ambiguous characters are one":  {"→…·█░≤≥", 7},
		"Unprintable ones are replaced": {"a\u202e\x1bb", 4},
	}
	for _, locale := range []string{"C", "ja_JP.UTF-8"} {
		t.Setenv("LC_ALL", locale)
		t.Setenv("LANG", locale)
		for name, test := range tests {
			if got := NewBuilder(Options{}).MeasureText(test.text); got != test.want {
				t.Errorf("%s in %s: got %d, want %d", name, locale, got, test.want)
			}
		}
	}
}
