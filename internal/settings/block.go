package settings

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Block is a block of ports, "START COUNT", as netsh takes it.
type Block struct{ MinStart, MinPorts int }

// DescribeAllowed implements Value.
func (v Block) DescribeAllowed() string {
	return fmt.Sprintf("START COUNT, from %d on, %d ports or more, none above 65535", v.MinStart, v.MinPorts)
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

// ParseBlock reads "START COUNT".
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

// AdjustToWritable is value where it can be written, else the nearest that can: a Windows
// machine may have a range from 1024 on, and netsh takes none below 1025. Parts that
// stand in now already are not written, and stay.
func (s Setting) AdjustToWritable(value, now string) string {
	v, isBlock := s.Value.(Block)
	if !isBlock {
		return value
	}
	parts, standing := s.SplitParts(value), s.SplitParts(now)
	for i, p := range parts {
		start, count, err := ParseBlock(p)
		if err == nil && start < v.MinStart && !s.IsSame(p, standing[i]) {
			parts[i] = fmt.Sprintf("%d %d", v.MinStart, count-(v.MinStart-start))
		}
	}
	return s.JoinParts(parts)
}
