package settings

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
		return fmt.Errorf("write %d without a sign or leading zeros, which mean octal to the kernel", n)
	case n < v.Min:
		return errors.New("too small")
	case n > v.Max:
		return errors.New("too large")
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

// ParseSpan parses "FIRST LAST", which any white space may separate.
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

// PortList is a list of ports and ranges of ports, such as "8080,30000-32767", which may be
// empty.
type PortList struct{}

// DescribeAllowed implements Value.
func (PortList) DescribeAllowed() string {
	return "ports and ranges, such as 8080,30000-32767, or empty"
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

// Ports is a range of ports, including both ends.
type Ports struct{ First, Last int }

// ParsePorts parses a list of ports in the format of net.ipv4.ip_local_reserved_ports, and
// returns it sorted and without duplicates.
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
			return nil, fmt.Errorf("%s: the first port is above the last", Clip(item))
		}
		list = append(list, Ports{first, last})
	}
	return mergeRanges(list), nil
}

// FormatPorts returns the list as the kernel writes it.
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

// mergeRanges sorts list and joins adjacent ranges.
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
