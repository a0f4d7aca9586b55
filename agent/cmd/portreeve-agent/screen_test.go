package main

import (
	"bytes"
	"testing"
)

func TestNoColourWithoutATerminal(t *testing.T) {
	env := map[string]string{"TERM": "xterm", "COLUMNS": "132"}
	s := newScreen(&bytes.Buffer{}, func(k string) string { return env[k] })
	if s.isTerminal || s.hasColour {
		t.Errorf("%+v", s)
	}
	if w, h := s.readSize(); w != 132 || h != 0 {
		t.Errorf("%d × %d", w, h)
	}
}
