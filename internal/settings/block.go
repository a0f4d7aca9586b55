package settings

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"portreeve.io/portreeve/internal/ports"
)

// Block is a block of ports, "START COUNT", as netsh accepts it. MinStart is the lowest
// start, MinPorts the smallest count.
type Block struct{ MinStart, MinPorts int }

// DescribeAllowed implements Value.
func (v Block) DescribeAllowed() string {
	return fmt.Sprintf("START COUNT with START at least %d, COUNT at least %d, and no port above 65535", v.MinStart, v.MinPorts)
}

func (v Block) checkValue(value string) error {
	r, err := ParseBlock(value)
	switch {
	case err != nil:
		return err
	case int(r.First) < v.MinStart:
		return fmt.Errorf("it starts below %d", v.MinStart)
	case r.Len() < v.MinPorts:
		return fmt.Errorf("only %d ports", r.Len())
	}
	return nil
}

func (v Block) canonicalize(value string) string { return strings.Join(strings.Fields(value), " ") }

// ParseBlock parses "START COUNT".
func ParseBlock(value string) (ports.Range, error) {
	words := strings.Fields(value)
	if len(words) != 2 {
		return ports.Range{}, errors.New("not a start and a count")
	}
	start, err := ports.ParsePort(words[0])
	if err != nil {
		return ports.Range{}, err
	}
	count, err := strconv.ParseUint(words[1], 10, 17)
	switch last := int(start) + int(count) - 1; {
	case err != nil:
		return ports.Range{}, fmt.Errorf("%s is not a count of ports", TruncateValue(words[1]))
	case count == 0:
		return ports.Range{}, errors.New("only 0 ports")
	case last > 65535:
		return ports.Range{}, fmt.Errorf("it ends at %d", last)
	default:
		return ports.Range{First: start, Last: uint16(last)}, nil
	}
}

// FormatBlock returns r as "START COUNT".
func FormatBlock(r ports.Range) string { return fmt.Sprintf("%d %d", r.First, r.Len()) }

// documentedStart is the lowest start that Microsoft documents for netsh.
const documentedStart = 1025

// AdjustToWritable returns value if it can be written, and otherwise the nearest value that
// can be: a range of a Windows machine may start at 1024, but netsh is documented to accept
// no start below 1025, so that a restored range does not depend on it. Parts that equal those of current need not be written, and don't change.
func (s Setting) AdjustToWritable(value, current string) string {
	if _, isBlock := s.Value.(Block); !isBlock {
		return value
	}
	parts, currentParts := s.SplitParts(value), s.SplitParts(current)
	for i, p := range parts {
		r, err := ParseBlock(p)
		if err == nil && r.First < documentedStart && !s.IsSame(p, currentParts[i]) {
			parts[i] = FormatBlock(ports.Range{First: documentedStart, Last: r.Last})
		}
	}
	return s.JoinParts(parts)
}
