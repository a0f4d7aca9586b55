package terminal

import "testing"

func TestUTF8Locale(t *testing.T) {
	tests := map[string]struct {
		env  map[string]string
		want bool
	}{
		"Nothing set means the POSIX locale": {nil, false},
		"LANG is UTF-8":                      {map[string]string{"LANG": "de_DE.UTF-8"}, true},
		"Another spelling of UTF-8":          {map[string]string{"LANG": "en_GB.utf8"}, true},
		"LC_ALL overrides LANG":              {map[string]string{"LANG": "C.UTF-8", "LC_ALL": "C"}, false},
		"LC_CTYPE overrides LANG":            {map[string]string{"LANG": "C", "LC_CTYPE": "C.UTF-8"}, true},
		"An empty variable is unset":         {map[string]string{"LC_ALL": "", "LANG": "C.UTF-8"}, true},
		"Another character set":              {map[string]string{"LANG": "ru_RU.KOI8-R"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := IsUTF8Locale(func(k string) string { return test.env[k] }); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestRedraw(t *testing.T) {
	tests := map[string]struct {
		frame  string
		height int
		first  bool
		want   string
	}{
		"The first frame erases the screen": {"a\nb\n", 24, true, "\x1b[2J\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J"},
		"The next frame overwrites it":      {"a\nb\n", 24, false, "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J"},
		"It just fits":                      {"a\nb\nc\n", 4, false, "\x1b[Ha\x1b[K\nb\x1b[K\nc\x1b[K\n\x1b[J"},
		"Too high for the terminal":         {"a\nb\nc\nd\n", 4, false, "\x1b[Ha\x1b[K\nb\x1b[K\n(2 more lines)\x1b[K\n\x1b[J"},
		"Unknown height":                    {"a\nb\nc\n", 0, false, "\x1b[Ha\x1b[K\nb\x1b[K\nc\x1b[K\n\x1b[J"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := RedrawScreen(test.frame, test.height, test.first); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
