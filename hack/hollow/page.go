package main

import (
	"errors"
	"strings"
)

const (
	begin = "<!-- hollow: begin. Written by `make bench-scale`; edit outside of the markers. -->"
	end   = "<!-- hollow: end -->"
)

var errMarkers = errors.New("the page must have the markers of hollow, begin and then end, once each")

// splice puts text between the page's markers.
func splice(page, text string) (string, error) {
	before, rest, _ := strings.Cut(page, begin)
	_, after, ok := strings.Cut(rest, end)
	if !ok || strings.Contains(after, begin) || strings.Contains(before+after, end) {
		return "", errMarkers
	}
	return before + begin + "\n" + text + end + after, nil
}
