package settings

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"portreeve.io/portreeve/internal/ports"
)

// Value is a set of values, in the spelling that the operating system reads and
// writes.
type Value interface {
	// Allowed is the set in words.
	Allowed() string
	check(value string) error
	// canonical spells equal values alike; one that is not in the set may stay as
	// it is.
	canonical(value string) string
}

// Integer is a whole number, both ends included.
type Integer struct {
	Min, Max int64
	Unit     string // "s", "ms", "ports"…; empty for plain counts
}

// Allowed implements Value.
func (v Integer) Allowed() string {
	return strings.TrimSpace(fmt.Sprintf("%d to %d %s", v.Min, v.Max, v.Unit))
}

func (v Integer) check(value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil:
		return errors.New("not a whole number")
	case strconv.FormatInt(n, 10) != value:
		return fmt.Errorf("write %d, with no sign and no 0 before it: that is octal to the kernel", n)
	case n < v.Min:
		return errors.New("too small")
	case n > v.Max:
		return errors.New("too large")
	}
	return nil
}

func (v Integer) canonical(value string) string { return strings.TrimSpace(value) }

// Choice is one of a few words or numbers.
type Choice []Option

// Option is one value and what it means.
type Option struct{ Value, Means string }

// Allowed implements Value.
func (v Choice) Allowed() string {
	words := make([]string, 0, len(v))
	for _, o := range v {
		words = append(words, fmt.Sprintf("%s (%s)", o.Value, o.Means))
	}
	return strings.Join(words, ", ")
}

func (v Choice) check(value string) error {
	if !slices.ContainsFunc(v, func(o Option) bool { return o.Value == value }) {
		return errors.New("not one of them")
	}
	return nil
}

func (v Choice) canonical(value string) string { return strings.TrimSpace(value) }

// Span is a range of ports, "FIRST LAST", both ends included.
type Span struct {
	// Least is the lowest first port, Ports the fewest ports.
	Least, Ports int
}

// Allowed implements Value.
func (v Span) Allowed() string {
	return fmt.Sprintf("FIRST LAST, from %d to 65535, %d ports or more", v.Least, v.Ports)
}

func (v Span) check(value string) error {
	r, err := ParseSpan(value)
	switch {
	case err != nil:
		return err
	case r.First > r.Last:
		return errors.New("the first port is above the last")
	case int(r.First) < v.Least:
		return fmt.Errorf("the first port is below %d", v.Least)
	case r.Len() < v.Ports:
		return fmt.Errorf("only %d ports", r.Len())
	}
	return nil
}

func (v Span) canonical(value string) string { return strings.Join(strings.Fields(value), " ") }

// ParseSpan parses "FIRST LAST", separated by any white space; First may be above Last.
func ParseSpan(value string) (ports.Range, error) {
	words := strings.Fields(value)
	if len(words) != 2 {
		return ports.Range{}, errors.New("not two ports")
	}
	first, err := ports.ParsePort(words[0])
	if err != nil {
		return ports.Range{}, err
	}
	last, err := ports.ParsePort(words[1])
	return ports.Range{First: first, Last: last}, err
}

// PortList is ports and ranges of ports, such as "8080,30000-32767"; it may be
// empty.
type PortList struct{}

// Allowed implements Value.
func (PortList) Allowed() string { return "ports and ranges, such as 8080,30000-32767, or nothing" }

func (PortList) check(value string) error {
	_, err := ports.ParseList(value)
	return err
}

func (PortList) canonical(value string) string {
	list, err := ports.ParseList(value)
	if err != nil {
		return value
	}
	return list.String()
}
