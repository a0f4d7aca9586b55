package settings

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Block is a block of ports, "START COUNT", as netsh takes it.
type Block struct{ Least, Ports int }

// Allowed implements Value.
func (v Block) Allowed() string {
	return fmt.Sprintf("START COUNT, from %d on, %d ports or more, none above 65535", v.Least, v.Ports)
}

func (v Block) check(value string) error {
	start, count, err := ParseBlock(value)
	switch {
	case err != nil:
		return err
	case start < v.Least:
		return fmt.Errorf("it starts below %d", v.Least)
	case count < v.Ports:
		return fmt.Errorf("only %d ports", count)
	case start+count-1 > 65535:
		return fmt.Errorf("it ends at %d", start+count-1)
	}
	return nil
}

func (v Block) canonical(value string) string { return strings.Join(strings.Fields(value), " ") }

// ParseBlock reads "START COUNT".
func ParseBlock(value string) (start, count int, err error) {
	words := strings.Fields(value)
	if len(words) != 2 {
		return 0, 0, errors.New("not a start and a count")
	}
	if start, err = port(words[0]); err != nil {
		return 0, 0, err
	}
	n, err := strconv.ParseUint(words[1], 10, 17)
	if err != nil {
		return 0, 0, fmt.Errorf("%s is not a count of ports", Clip(words[1]))
	}
	return start, int(n), nil
}

// Settable is value where it can be written, else the nearest that can: a Windows
// machine may have a range from 1024 on, and netsh takes none below 1025. Parts that
// stand in now already are not written, and stay.
func (s Setting) Settable(value, now string) string {
	v, isBlock := s.Value.(Block)
	if !isBlock {
		return value
	}
	parts, standing := s.Split(value), s.Split(now)
	for i, p := range parts {
		start, count, err := ParseBlock(p)
		if err == nil && start < v.Least && !s.Same(p, standing[i]) {
			parts[i] = fmt.Sprintf("%d %d", v.Least, count-(v.Least-start))
		}
	}
	return s.Join(parts)
}
