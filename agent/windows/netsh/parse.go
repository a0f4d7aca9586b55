package netsh

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"portreeve.io/portreeve/internal/ports"
)

// Exclusion is a range of ports that Windows never chooses by itself.
type Exclusion struct {
	ports.Range
	// Administered ones were added by netsh or a program as a persistent exclusion
	// (netsh marks them with "*"). The others are reservations of running programs:
	// HNS, WinNAT, or http.sys.
	Administered bool
}

// errLayout is text that is no answer of netsh's: its layout is another.
var errLayout = errors.New("netsh printed something else than expected")

// parseDynamicPort reads `show dynamicport`: a title, a line of dashes, and two lines
// that end in a number, the start and the count:
//
//	Protocol tcp Dynamic Port Range
//	---------------------------------
//	Start Port      : 49152
//	Number of Ports : 16384
func parseDynamicPort(text []byte) (ports.Range, error) {
	var n []int
	for line := range body(text) {
		if v, ok := lastNumber(line); ok {
			n = append(n, v)
		}
	}
	switch {
	case len(n) != 2:
		return ports.Range{}, fmt.Errorf("%w: %d numbers below its line of dashes, not 2: %s", errLayout, len(n), OneLine(text))
	case n[0] < 1 || n[0] > 65535 || n[1] < 1 || n[0]+n[1] > 1<<16:
		return ports.Range{}, fmt.Errorf("%w: %d ports from %d on are no range: %s", errLayout, n[1], n[0], OneLine(text))
	}
	return ports.Range{First: uint16(n[0]), Last: uint16(n[0] + n[1] - 1)}, nil
}

// parseExclusions reads `show excludedportrange`: two columns of numbers below two
// lines of dashes, a star behind those that are administered, and a legend that begins
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
	for line := range body(text) {
		ruled = true
		f := bytes.Fields(line)
		if len(f) == 0 || f[0][0] < '0' || f[0][0] > '9' {
			continue // an empty line, or the legend
		}
		e, ok := parseExclusion(f)
		if !ok {
			return nil, fmt.Errorf("%w: no ports: %s", errLayout, OneLine(line))
		}
		list = append(list, e)
	}
	if !ruled {
		return nil, fmt.Errorf("%w: no line of dashes: %s", errLayout, OneLine(text))
	}
	return list, nil
}

func parseExclusion(f [][]byte) (e Exclusion, ok bool) {
	if len(f) < 2 || len(f) > 3 || len(f) == 3 && string(f[2]) != "*" {
		return e, false
	}
	first, ok1 := number(f[0])
	last, ok2 := number(f[1])
	e.Range, e.Administered = ports.Range{First: uint16(first), Last: uint16(last)}, len(f) == 3
	return e, ok1 && ok2 && first <= last && last <= 65535
}

// body is the lines below the line of dashes, at least one where there is such a line.
func body(text []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		found := false
		for line := range bytes.Lines(text) {
			line = bytes.TrimSpace(line)
			switch {
			case found:
				if !yield(line) {
					return
				}
			case dashes(line):
				if found = true; !yield(nil) {
					return
				}
			}
		}
	}
}

// dashes says that line has dashes and spaces only, and more than a few.
func dashes(line []byte) bool {
	return len(line) > 7 && len(bytes.Trim(line, "- ")) == 0
}

// lastNumber is the number that line ends in, unless it is the end of a word ("IPv4").
func lastNumber(line []byte) (int, bool) {
	at := len(bytes.TrimRight(line, "0123456789"))
	if at == 0 || alphanumeric(line[at-1]) {
		return 0, false
	}
	return number(line[at:])
}

func alphanumeric(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || b == '.' || b == '-'
}

// number is a decimal number of up to six digits.
func number(digits []byte) (int, bool) {
	if len(digits) == 0 || len(digits) > 6 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(digits), 10, 32)
	return int(n), err == nil
}

// OneLine is the beginning of what a program printed, in one line, for an error.
func OneLine(text []byte) string {
	const room = 200
	line := bytes.Join(bytes.Fields(bytes.ToValidUTF8(text, []byte("?"))), []byte(" "))
	if len(line) > room {
		line = append(bytes.ToValidUTF8(line[:room:room], nil), "…"...)
	}
	return strconv.Quote(string(line))
}
