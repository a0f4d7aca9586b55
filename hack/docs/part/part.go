// Package part writes the parts of documentation pages that contain figures of a run,
// with a description of the machine.
package part

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Part is a part of a page between two markers. The rest of the page is written by hand.
type Part struct {
	Name    string
	Command string // what writes it, as typed in a shell
}

// ErrMarkers is returned for a page without exactly one pair of markers.
var ErrMarkers = errors.New("the page must have the part's begin marker and then its end marker, each exactly once")

func (p Part) beginMarker() string {
	return fmt.Sprintf("<!-- %s: begin. Written by %#q; edit outside of the markers. -->", p.Name, p.Command)
}

func (p Part) endMarker() string { return fmt.Sprintf("<!-- %s: end -->", p.Name) }

// ReplaceIn returns the page with text between the part's markers.
func (p Part) ReplaceIn(page, text string) (string, error) {
	before, rest, _ := strings.Cut(page, p.beginMarker())
	_, after, ok := strings.Cut(rest, p.endMarker())
	if !ok || strings.Contains(after, p.beginMarker()) || strings.Contains(before+after, p.endMarker()) {
		return "", ErrMarkers
	}
	return before + p.beginMarker() + "\n" + text + p.endMarker() + after, nil
}

// Write writes text to the part of the file, or prints it if file is "-".
func (p Part) Write(file, text string) error {
	if file == "-" {
		_, err := fmt.Print(text)
		return err
	}
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	now, err := p.ReplaceIn(string(page), text)
	if err != nil {
		return fmt.Errorf("%s: part %s: %w", file, p.Name, err)
	}
	return os.WriteFile(file, []byte(now), 0o644)
}
