package settings

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"portreeve.io/portreeve/internal/ports"
)

// Block is a block of ports, "START COUNT", as netsh takes it.
type Block struct{ Least, Ports int }

// Allowed implements Value.
func (v Block) Allowed() string {
	return fmt.Sprintf("START COUNT, from %d on, %d ports or more, none above 65535", v.Least, v.Ports)
}

func (v Block) check(value string) error {
	r, err := ParseBlock(value)
	switch {
	case err != nil:
		return err
	case int(r.First) < v.Least:
		return fmt.Errorf("it starts below %d", v.Least)
	case r.Len() < v.Ports:
		return fmt.Errorf("only %d ports", r.Len())
	}
	return nil
}

func (v Block) canonical(value string) string { return strings.Join(strings.Fields(value), " ") }

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
		return ports.Range{}, fmt.Errorf("%s is not a count of ports", Clip(words[1]))
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
		r, err := ParseBlock(p)
		if err == nil && int(r.First) < v.Least && !s.Same(p, standing[i]) {
			parts[i] = FormatBlock(ports.Range{First: uint16(v.Least), Last: r.Last})
		}
	}
	return s.Join(parts)
}
