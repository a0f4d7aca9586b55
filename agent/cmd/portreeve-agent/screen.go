package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// screen is where tables go, and what it can show.
type screen struct {
	out      io.Writer
	terminal bool
	colour   bool
	ascii    bool
	columns  int // where out is no terminal; 0 if unknown
}

func newScreen(out io.Writer, getenv func(string) string) screen {
	s := screen{out: out, ascii: !utf8Locale(getenv)}
	if f, ok := out.(*os.File); ok {
		s.terminal = term.IsTerminal(int(f.Fd()))
	}
	// https://no-color.org: any value but the empty one.
	s.colour = s.terminal && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
	s.columns, _ = strconv.Atoi(getenv("COLUMNS"))
	return s
}

// size is in columns and lines, 0 if unknown. A terminal may change it.
func (s *screen) size() (columns, lines int) {
	if f, ok := s.out.(*os.File); ok && s.terminal {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil {
			return w, h
		}
	}
	return max(0, s.columns), 0
}

// utf8Locale is how locale(7) decides on the character set: the first of these
// that is set counts.
func utf8Locale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToLower(getenv(name)); value != "" {
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}

// Control sequences of a terminal (ECMA-48).
const (
	cursorHome  = "\x1b[H"
	eraseScreen = "\x1b[2J"
	eraseLine   = "\x1b[K" // to its end
	eraseBelow  = "\x1b[J"
)

// redraw makes frame take the place of the one before it, without a flicker. A
// frame that is too high for the terminal would scroll its first lines, the ones
// that matter, out of sight: so it loses its last ones.
func redraw(frame string, height int, first bool) string {
	lines := strings.Split(strings.TrimSuffix(frame, "\n"), "\n")
	if room := height - 1; height > 1 && len(lines) > room {
		more := fmt.Sprintf("(%d more lines)", len(lines)-room+1)
		lines = append(lines[:room-1], more)
	}
	start := cursorHome
	if first {
		start = eraseScreen + cursorHome
	}
	return start + strings.Join(lines, eraseLine+"\n") + eraseLine + "\n" + eraseBelow
}
