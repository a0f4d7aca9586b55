package settings

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Value is a set of values, in the spelling that the operating system reads and
// writes.
type Value interface {
	// DescribeAllowed is the set in words.
	DescribeAllowed() string
	checkValue(value string) error
	// canonicalize spells equal values alike; one that is not in the set may stay as
	// it is.
	canonicalize(value string) string
}

// Integer is a whole number, both ends included.
type Integer struct {
	Min, Max int64
	Unit     string // "s", "ms", "ports"…; empty for plain counts
}

// DescribeAllowed implements Value.
func (v Integer) DescribeAllowed() string {
	return strings.TrimSpace(fmt.Sprintf("%d to %d %s", v.Min, v.Max, v.Unit))
}

func (v Integer) checkValue(value string) error {
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

func (v Integer) canonicalize(value string) string { return strings.TrimSpace(value) }

// Choice is one of a few words or numbers.
type Choice []Option

// Option is one value and what it means.
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
		return errors.New("not one of them")
	}
	return nil
}

func (v Choice) canonicalize(value string) string { return strings.TrimSpace(value) }

// Span is a range of ports, "FIRST LAST", both ends included.
type Span struct {
	// MinFirst is the lowest first port, Ports the fewest ports.
	MinFirst, MinPorts int
}

// DescribeAllowed implements Value.
func (v Span) DescribeAllowed() string {
	return fmt.Sprintf("FIRST LAST, from %d to 65535, %d ports or more", v.MinFirst, v.MinPorts)
}

func (v Span) checkValue(value string) error {
	first, last, err := ParseSpan(value)
	switch {
	case err != nil:
		return err
	case first > last:
		return errors.New("the first port is above the last")
	case first < v.MinFirst:
		return fmt.Errorf("the first port is below %d", v.MinFirst)
	case last-first+1 < v.MinPorts:
		return fmt.Errorf("only %d ports", last-first+1)
	}
	return nil
}

func (v Span) canonicalize(value string) string { return strings.Join(strings.Fields(value), " ") }

// ParseSpan reads "FIRST LAST"; any white space parts the two.
func ParseSpan(value string) (first, last int, err error) {
	words := strings.Fields(value)
	if len(words) != 2 {
		return 0, 0, errors.New("not two ports")
	}
	if first, err = parsePort(words[0]); err != nil {
		return 0, 0, err
	}
	last, err = parsePort(words[1])
	return first, last, err
}

func parsePort(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || len(s) > 1 && s[0] == '0' { // octal to the kernel
		return 0, fmt.Errorf("%s is not a port", Clip(s))
	}
	return int(n), nil
}

// PortList is ports and ranges of ports, such as "8080,30000-32767"; it may be
// empty.
type PortList struct{}

// DescribeAllowed implements Value.
func (PortList) DescribeAllowed() string {
	return "ports and ranges, such as 8080,30000-32767, or nothing"
}

func (PortList) checkValue(value string) error {
	_, err := ParsePorts(value)
	return err
}

func (PortList) canonicalize(value string) string {
	ranges, err := ParsePorts(value)
	if err != nil {
		return value
	}
	return FormatPorts(ranges)
}

// Ports is a range of ports, both ends included.
type Ports struct{ First, Last int }

// ParsePorts reads a list of ports as net.ipv4.ip_local_reserved_ports has it: in
// order, and nothing twice.
func ParsePorts(value string) ([]Ports, error) {
	value = strings.TrimSpace(value)
	if value == "" {
		return nil, nil
	}
	var list []Ports
	for item := range strings.SplitSeq(value, ",") {
		a, b, isRange := strings.Cut(strings.TrimSpace(item), "-")
		first, err := parsePort(a)
		if err != nil {
			return nil, err
		}
		last := first
		if isRange {
			if last, err = parsePort(b); err != nil {
				return nil, err
			}
		}
		if first > last {
			return nil, fmt.Errorf("%s is upside down", Clip(item))
		}
		list = append(list, Ports{first, last})
	}
	return mergeRanges(list), nil
}

// FormatPorts is the list as the kernel writes it.
func FormatPorts(list []Ports) string { return strings.Join(formatEach(list), ",") }

// formatEach returns each range of the list as the kernel writes it.
func formatEach(list []Ports) []string {
	items := []string{}
	for _, p := range mergeRanges(slices.Clone(list)) {
		item := strconv.Itoa(p.First)
		if p.Last > p.First {
			item += "-" + strconv.Itoa(p.Last)
		}
		items = append(items, item)
	}
	return items
}

// mergeRanges sorts list and joins what touches.
func mergeRanges(list []Ports) []Ports {
	slices.SortFunc(list, func(a, b Ports) int { return a.First - b.First })
	var out []Ports
	for _, p := range list {
		if n := len(out); n > 0 && p.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, p.Last)
			continue
		}
		out = append(out, p)
	}
	return out
}
