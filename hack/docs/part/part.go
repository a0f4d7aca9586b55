// Package part writes the parts of documentation pages that are figures from a run, and
// says where they were taken.
package part

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Part is a part of a page, between two markers. The page's rest is written by hand.
type Part struct {
	Name    string
	Command string // what writes it, as typed in a shell
}

// ErrMarkers is that of a page which is not to be written, as it isn't clear where.
var ErrMarkers = errors.New("the page must have the part's begin marker, and then its end marker, once each")

func (p Part) beginMarker() string {
	return fmt.Sprintf("<!-- %s: begin. Written by %#q; edit outside of the markers. -->", p.Name, p.Command)
}

func (p Part) endMarker() string { return fmt.Sprintf("<!-- %s: end -->", p.Name) }

// ReplaceIn puts text between the part's markers in page.
func (p Part) ReplaceIn(page, text string) (string, error) {
	before, rest, _ := strings.Cut(page, p.beginMarker())
	_, after, ok := strings.Cut(rest, p.endMarker())
	if !ok || strings.Contains(after, p.beginMarker()) || strings.Contains(before+after, p.endMarker()) {
		return "", ErrMarkers
	}
	return before + p.beginMarker() + "\n" + text + p.endMarker() + after, nil
}

// Write puts text into the file's part; for the file "-" it prints it.
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
