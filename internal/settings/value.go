package settings

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"portreeve.io/portreeve/internal/ports"
)

// Value is a set of allowed values, as the operating system reads and writes them.
type Value interface {
	// DescribeAllowed describes the set in words.
	DescribeAllowed() string
	checkValue(value string) error
	// canonicalize returns the same text for equal values. It may return a value that is
	// not in the set unchanged.
	canonicalize(value string) string
}

// Integer is a range of whole numbers, including both ends.
type Integer struct {
	Min, Max int64
	// Multiple is the number of which a value must be a multiple, 0 for any.
	Multiple int64
	Unit     string // "s", "ms", "ports"…; empty for plain counts
}

// DescribeAllowed implements Value.
func (v Integer) DescribeAllowed() string {
	allowed := strings.TrimSpace(fmt.Sprintf("%d to %d %s", v.Min, v.Max, v.Unit))
	if v.Multiple > 0 {
		allowed += fmt.Sprintf(", in multiples of %d", v.Multiple)
	}
	return allowed
}

func (v Integer) checkValue(value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil:
		return errors.New("not a whole number")
	case strconv.FormatInt(n, 10) != value:
		return fmt.Errorf("write %d without a sign or leading zeros, which mean octal to the kernel", n)
	case n < v.Min:
		return errors.New("too small")
	case n > v.Max:
		return errors.New("too large")
	case v.Multiple > 0 && n%v.Multiple != 0:
		return fmt.Errorf("not a multiple of %d", v.Multiple)
	}
	return nil
}

func (v Integer) canonicalize(value string) string { return strings.TrimSpace(value) }

// Choice is a set of a few words or numbers.
type Choice []Option

// Option is a value of a Choice, and its meaning.
type Option struct{ Value, Means string }

// DescribeAllowed implements Value.
func (v Choice) DescribeAllowed() string {
	words := make([]string, 0, len(v))
	for _, o := range v {
		words = append(words, fmt.Sprintf("%s (%s)", o.Value, o.Means))
	}
	return strings.Join(words, ", ")
}

func (v Choice) checkValue(value string) error {
	if !slices.ContainsFunc(v, func(o Option) bool { return o.Value == value }) {
		return errors.New("unknown value")
	}
	return nil
}

func (v Choice) canonicalize(value string) string { return strings.TrimSpace(value) }

// Span is a range of ports, "FIRST LAST", including both ends.
type Span struct {
	// MinFirst is the lowest first port, Ports the fewest ports.
	MinFirst, MinPorts int
}

// DescribeAllowed implements Value.
func (v Span) DescribeAllowed() string {
	return fmt.Sprintf("FIRST LAST, from %d to 65535, at least %d ports", v.MinFirst, v.MinPorts)
}

func (v Span) checkValue(value string) error {
	r, err := ParseSpan(value)
	switch {
	case err != nil:
		return err
	case r.First > r.Last:
		return errors.New("the first port is above the last")
	case int(r.First) < v.MinFirst:
		return fmt.Errorf("the first port is below %d", v.MinFirst)
	case r.Len() < v.MinPorts:
		return fmt.Errorf("only %d ports", r.Len())
	}
	return nil
}

func (v Span) canonicalize(value string) string { return strings.Join(strings.Fields(value), " ") }

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

// PortList is a list of ports and ranges of ports, such as "8080,30000-32767", which may be
// empty.
type PortList struct{}

// DescribeAllowed implements Value.
func (PortList) DescribeAllowed() string {
	return "ports and ranges, such as 8080,30000-32767, or empty"
}

func (PortList) checkValue(value string) error {
	_, err := ports.ParseList(value)
	return err
}

func (PortList) canonicalize(value string) string {
	list, err := ports.ParseList(value)
	if err != nil {
		return value
	}
	return list.String()
}
