package sysctlconf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/text"
)

// Message is a sentence about a line.
type Message struct {
	Line
	Text string
}

func (m Message) String() string { return text.MakePrintable(m.Position()+": "+m.Text, '\ufffd') }

// Result is the result of a conversion.
type Result struct {
	// Spec has the settings, and nothing else.
	Spec v1alpha1.NodeTuningSpec
	// Kept is the number of lines that Spec contains.
	Kept int
	// Messages explain why the other lines were dropped, and have warnings about kept ones.
	Messages []Message
}

// maxReservedPorts is the API's limit of linux.reservedPorts, which the sysctl doesn't
// have.
const maxReservedPorts = 64

// ConvertLines converts lines, which must be in the order in which they would be applied:
// the last line of a key takes effect.
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
			warning := fmt.Sprintf("kept %s with allowLowPorts: services listen on ports below %d, so first: %d is safer",
				s.Key, settings.SafeFirstPort, settings.SafeFirstPort)
			r.Messages = append(r.Messages, Message{l, warning})
		}
	}
	return r, nil
}

// dropLine adds a message that l was dropped.
func (r *Result) dropLine(l Line, reason string) {
	r.Messages = append(r.Messages, Message{l, "dropped " + reason})
}

// findSetting returns the setting of the line, or why Portreeve does not support it.
func (l Line) findSetting() (settings.Setting, error) {
	switch {
	case l.Key == "":
		return settings.Setting{}, errors.New("a line without a key")
	case strings.ContainsAny(l.Key, "*?["):
		return settings.Setting{}, errors.New("a pattern of keys, which is not supported: list each key")
	}
	s, _ := settings.Lookup(settings.Linux, l.Key)
	return s, settings.CheckKey(settings.Linux, l.Key)
}

// parseValue returns the line's value of s, or why it is invalid.
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
		if list, _ := ports.ParseList(value); len(list.ListRanges()) > maxReservedPorts {
			return "", fmt.Errorf("%s: %d ranges, but linux.reservedPorts accepts at most %d; merge some of them",
				s.Key, len(list.ListRanges()), maxReservedPorts)
		}
	}
	return value, nil
}

// formatDecimal returns a number as the kernel prints it. The kernel also reads octal and
// hexadecimal numbers (lib/kstrtox.c, simple_strtoul). Other text is returned unchanged.
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
