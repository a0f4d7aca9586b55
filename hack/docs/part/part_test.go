package part

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestThePartIsReplaced(t *testing.T) {
	p := Part{"bench", "make bench"}
	const begin, end = "<!-- bench: begin. Written by `make bench`; edit outside of the markers. -->", "<!-- bench: end -->"
	tests := map[string]struct {
		page, want string
		err        error
	}{
		"what was between the markers is replaced": {"a\n" + begin + "\nold\n" + end + "\nb\n", "a\n" + begin + "\nnew\n" + end + "\nb\n", nil},
		"no markers":          {"a\n", "", ErrMarkers},
		"no end":              {begin + "\n", "", ErrMarkers},
		"the end comes first": {end + begin + end, "", ErrMarkers},
		"two begins":          {begin + end + begin, "", ErrMarkers},
		"two ends":            {begin + end + end, "", ErrMarkers},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := p.ReplaceIn(tt.page, "new\n")
			if !errors.Is(err, tt.err) || got != tt.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestAPageWithoutThePartStaysAsItIs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte("by hand\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Part{"bench", "make bench"}.Write(file, "new\n")
	if !errors.Is(err, ErrMarkers) || !strings.Contains(err.Error(), file) {
		t.Errorf("err = %v, want one about the markers of %s", err, file)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "by hand\n" {
		t.Errorf("the page is %q (%v)", got, err)
	}
}
