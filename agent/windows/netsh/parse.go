package netsh

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"portreeve.io/portreeve/internal/ports"
)

// Exclusion is a range of ports that are never chosen automatically.
type Exclusion struct {
	ports.Range
	// Administered is true for persistent exclusions, which were added by netsh or a program
	// (netsh marks them with "*"). The others are reservations of running programs, such as
	// HNS, WinNAT and http.sys.
	Administered bool
}

// errUnexpectedOutput is returned for output whose layout is not known.
var errUnexpectedOutput = errors.New("unexpected output of netsh")

// ParseDynamicPort parses the output of `show dynamicport`: a title, a line of dashes, and
// two lines that end in a number, the start and the count:
//
//	Protocol tcp Dynamic Port Range
//	---------------------------------
//	Start Port      : 49152
//	Number of Ports : 16384
func ParseDynamicPort(text []byte) (ports.Range, error) {
	var n []int
	for line := range linesBelowDashes(text) {
		if v, ok := parseLastNumber(line); ok {
			n = append(n, v)
		}
	}
	switch {
	case len(n) != 2:
		return ports.Range{}, fmt.Errorf(
			"%w: %d numbers below the line of dashes, not 2: %s", errUnexpectedOutput, len(n), QuoteOutput(text))
	case n[0] < 1 || n[0] > 65535 || n[1] < 1 || n[0]+n[1] > 1<<16:
		return ports.Range{}, fmt.Errorf(
			"%w: %d ports from %d are not a valid range: %s", errUnexpectedOutput, n[1], n[0], QuoteOutput(text))
	}
	return ports.Range{First: uint16(n[0]), Last: uint16(n[0] + n[1] - 1)}, nil
}

// parseExclusions parses the output of `show excludedportrange`: two columns of numbers
// below two lines of dashes, a star after administered exclusions, and a legend that begins
// with that star:
//
//	Start Port    End Port
//	----------    --------
//	      5357        5357
//	     50000       50059     *
//
//	* - Administered port exclusions.
func parseExclusions(text []byte) ([]Exclusion, error) {
	list, ruled := []Exclusion{}, false
	for line := range linesBelowDashes(text) {
		ruled = true
		f := bytes.Fields(line)
		if len(f) == 0 || f[0][0] < '0' || f[0][0] > '9' {
			continue // an empty line, or the legend
		}
		e, ok := parseExclusion(f)
		if !ok {
			return nil, fmt.Errorf("%w: not a port range: %s", errUnexpectedOutput, QuoteOutput(line))
		}
		list = append(list, e)
	}
	if !ruled {
		return nil, fmt.Errorf("%w: no line of dashes: %s", errUnexpectedOutput, QuoteOutput(text))
	}
	return list, nil
}

func parseExclusion(f [][]byte) (e Exclusion, ok bool) {
	if len(f) < 2 || len(f) > 3 || len(f) == 3 && string(f[2]) != "*" {
		return e, false
	}
	first, ok1 := parseNumber(f[0])
	last, ok2 := parseNumber(f[1])
	e.Range, e.Administered = ports.Range{First: uint16(first), Last: uint16(last)}, len(f) == 3
	return e, ok1 && ok2 && first <= last && last <= 65535
}

// linesBelowDashes iterates over the lines below the line of dashes. If there is such a
// line, it yields at least one line, which may be nil.
func linesBelowDashes(text []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		found := false
		for line := range bytes.Lines(text) {
			line = bytes.TrimSpace(line)
			switch {
			case found:
				if !yield(line) {
					return
				}
			case isDashedLine(line):
				if found = true; !yield(nil) {
					return
				}
			}
		}
	}
}

// isDashedLine reports whether line consists of at least eight dashes and spaces.
func isDashedLine(line []byte) bool {
	return len(line) > 7 && len(bytes.Trim(line, "- ")) == 0
}

// parseLastNumber parses the number at the end of line, unless it is part of a word ("IPv4").
func parseLastNumber(line []byte) (int, bool) {
	at := len(bytes.TrimRight(line, "0123456789"))
	if at == 0 || isWordByte(line[at-1]) {
		return 0, false
	}
	return parseNumber(line[at:])
}

func isWordByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || b == '.' || b == '-'
}

// parseNumber parses a decimal number of at most six digits.
func parseNumber(digits []byte) (int, bool) {
	if len(digits) == 0 || len(digits) > 6 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(digits), 10, 32)
	return int(n), err == nil
}

// QuoteOutput returns the beginning of a program's output in one line, for an error.
func QuoteOutput(text []byte) string {
	const maxBytes = 200
	line := bytes.Join(bytes.Fields(bytes.ToValidUTF8(text, []byte("?"))), []byte(" "))
	if len(line) > maxBytes {
		line = append(bytes.ToValidUTF8(line[:maxBytes:maxBytes], nil), "…"...)
	}
	return strconv.Quote(string(line))
}
