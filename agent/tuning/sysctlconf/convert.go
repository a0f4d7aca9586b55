package sysctlconf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// Message is one sentence about a line.
type Message struct {
	Line
	Text string
}

func (r Message) String() string { return strings.Map(printable, r.Position()+": "+r.Text) }

// Result is what became of the lines.
type Result struct {
	// Spec has the settings, and nothing else.
	Spec v1alpha1.NodeTuningSpec
	// Kept is how many lines are in it.
	Kept int
	// Messages say why the others are not, and what else is to know, line by line.
	Messages []Message
}

// maxReservedPorts is the API's limit of linux.reservedPorts, which the sysctl doesn't
// have.
const maxReservedPorts = 64

// ConvertLines makes settings of lines, in the order in which they would be applied: the
// last one of a key counts.
func ConvertLines(lines []Line) (r Result, err error) {
	last := map[string]Line{}
	for _, l := range lines {
		last[l.Key] = l
	}
	for _, l := range lines {
		s, err := l.findSetting()
		if err != nil {
			r.dropLine(l, err.Error())
			continue
		}
		if again := last[l.Key]; again != l {
			r.dropLine(l, l.Key+": set again in "+again.Position())
			continue
		}
		value, err := l.parseValue(s)
		if err != nil {
			r.dropLine(l, err.Error())
			continue
		}
		if err := s.SetField(&r.Spec, value); err != nil {
			return r, err
		}
		r.Kept++
		if s.Key == settings.KeyLocalPortRange && r.Spec.Linux.EphemeralPorts.AllowLowPorts {
			r.Messages = append(r.Messages, Message{l, fmt.Sprintf("kept %s with allowLowPorts: services listen below %d, and first: %d is safer", s.Key, settings.SafeFirstPort, settings.SafeFirstPort)})
		}
	}
	return r, nil
}

func (r *Result) dropLine(l Line, why string) {
	r.Messages = append(r.Messages, Message{l, "dropped " + why})
}

// findSetting is what the line sets, or why Portreeve can't.
func (l Line) findSetting() (settings.Setting, error) {
	switch {
	case l.Key == "":
		return settings.Setting{}, errors.New("a line without a key")
	case strings.ContainsAny(l.Key, "*?["):
		return settings.Setting{}, errors.New("a pattern of keys: name each that you need")
	}
	s, _ := settings.Lookup(settings.Linux, l.Key)
	return s, settings.CheckKey(settings.Linux, l.Key)
}

// parseValue is the line's value of s, or why it can't be held.
func (l Line) parseValue(s settings.Setting) (string, error) {
	if l.Value == "" {
		return "", fmt.Errorf("%s: no value", l.Key)
	}
	value := l.Value
	if _, whole := s.Value.(settings.Integer); whole {
		value = formatDecimal(value)
	}
	if err := s.CheckValue(value); err != nil {
		return "", err
	}
	if _, ok := s.Value.(settings.PortList); ok {
		if list, _ := settings.ParsePorts(value); len(list) > maxReservedPorts {
			return "", fmt.Errorf("%s: %d ranges, and linux.reservedPorts takes %d: make fewer, larger ones", s.Key, len(list), maxReservedPorts)
		}
	}
	return value, nil
}

// formatDecimal spells a number as the kernel prints it, which also reads octal and
// hexadecimal ones (lib/kstrtox.c, simple_strtoul). Other text stays.
func formatDecimal(value string) string {
	digits, base := value, 10
	if rest, ok := strings.CutPrefix(strings.ToLower(value), "0x"); ok {
		digits, base = rest, 16
	} else if len(value) > 1 && value[0] == '0' {
		digits, base = value[1:], 8
	}
	n, err := strconv.ParseUint(digits, base, 63)
	if err != nil {
		return value
	}
	return strconv.FormatUint(n, 10)
}

// printable takes away what would steer a terminal.
func printable(r rune) rune {
	if strconv.IsPrint(r) {
		return r
	}
	return '\ufffd'
}
