package main

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"

	"portreeve.io/portreeve/internal/terminal"
)

// screen is the destination of tables, with its properties.
type screen struct {
	out        io.Writer
	isTerminal bool
	hasColour  bool
	isASCII    bool
	columns    int // if out is not a terminal; 0 if unknown
}

func newScreen(out io.Writer, getenv func(string) string) screen {
	s := screen{out: out, isASCII: !terminal.IsUTF8Locale(getenv)}
	if f, ok := out.(*os.File); ok {
		s.isTerminal = term.IsTerminal(int(f.Fd()))
	}
	// https://no-color.org: any value but the empty one.
	s.hasColour = s.isTerminal && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
	s.columns, _ = strconv.Atoi(getenv("COLUMNS"))
	return s
}

// readSize returns the current size in columns and lines, 0 if unknown.
func (s *screen) readSize() (columns, lines int) {
	if f, ok := s.out.(*os.File); ok && s.isTerminal {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil {
			return w, h
		}
	}
	return max(0, s.columns), 0
}
