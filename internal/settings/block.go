package settings

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Block is a block of ports, "START COUNT", as netsh accepts it. MinStart is the lowest
// start, MinPorts the smallest count.
type Block struct{ MinStart, MinPorts int }

// DescribeAllowed implements Value.
func (v Block) DescribeAllowed() string {
	return fmt.Sprintf("START COUNT with START at least %d, COUNT at least %d, and no port above 65535", v.MinStart, v.MinPorts)
}

func (v Block) checkValue(value string) error {
	start, count, err := ParseBlock(value)
	switch {
	case err != nil:
		return err
	case start < v.MinStart:
		return fmt.Errorf("it starts below %d", v.MinStart)
	case count < v.MinPorts:
		return fmt.Errorf("only %d ports", count)
	case start+count-1 > 65535:
		return fmt.Errorf("it ends at %d", start+count-1)
	}
	return nil
}

func (v Block) canonicalize(value string) string { return strings.Join(strings.Fields(value), " ") }

// ParseBlock parses "START COUNT".
func ParseBlock(value string) (start, count int, err error) {
	words := strings.Fields(value)
	if len(words) != 2 {
		return 0, 0, errors.New("not a start and a count")
	}
	if start, err = parsePort(words[0]); err != nil {
		return 0, 0, err
	}
	n, err := strconv.ParseUint(words[1], 10, 17)
	if err != nil {
		return 0, 0, fmt.Errorf("%s is not a count of ports", Clip(words[1]))
	}
	return start, int(n), nil
}

// AdjustToWritable returns value if it can be written, and otherwise the nearest value that
// can be: a range of a Windows machine may start at 1024, but netsh accepts no start below
// 1025. Parts that equal those of current need not be written, and don't change.
func (s Setting) AdjustToWritable(value, current string) string {
	v, isBlock := s.Value.(Block)
	if !isBlock {
		return value
	}
	parts, currentParts := s.SplitParts(value), s.SplitParts(current)
	for i, p := range parts {
		start, count, err := ParseBlock(p)
		if err == nil && start < v.MinStart && !s.IsSame(p, currentParts[i]) {
			parts[i] = fmt.Sprintf("%d %d", v.MinStart, count-(v.MinStart-start))
		}
	}
	return s.JoinParts(parts)
}
