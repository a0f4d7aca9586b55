package sysctlconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// Remark is one sentence about a line.
type Remark struct {
	Line
	Text string
}

func (r Remark) String() string { return strings.Map(printable, r.Where()+": "+r.Text) }

// Result is what became of the lines.
type Result struct {
	// Spec has the settings, and nothing else.
	Spec v1alpha1.NodeTuningSpec
	// Kept is how many lines are in it.
	Kept int
	// Remarks say why the others are not, and what else is to know, line by line.
	Remarks []Remark
}

// The API's limits, which a sysctl doesn't have.
const (
	lowPorts      = 16384 // below it ephemeralPorts asks for allowLowPorts
	reservedPorts = 64
)

// Convert makes settings of lines, in the order in which they would be applied: the
// last one of a key counts.
func Convert(lines []Line) (r Result, err error) {
	last := map[string]Line{}
	for _, l := range lines {
		last[l.Key] = l
	}
	spec := tree{}
	for _, l := range lines {
		s, err := l.setting()
		if err != nil {
			r.drop(l, err.Error())
			continue
		}
		if again := last[l.Key]; again != l {
			r.drop(l, l.Key+": set again in "+again.Where())
			continue
		}
		value, err := l.valueOf(s)
		if err != nil {
			r.drop(l, err.Error())
			continue
		}
		r.Kept++
		spec.set(s, value)
		if ports, ok := fieldValue(s, value).(v1alpha1.EphemeralPorts); ok && ports.AllowLowPorts {
			r.Remarks = append(r.Remarks, Remark{l, fmt.Sprintf("kept %s with allowLowPorts: services listen below %d, and first: %d is safer", s.Key, lowPorts, lowPorts)})
		}
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r.Spec)
}

func (r *Result) drop(l Line, why string) { r.Remarks = append(r.Remarks, Remark{l, "dropped " + why}) }

// setting is what the line sets, or why Portreeve can't.
func (l Line) setting() (settings.Setting, error) {
	switch {
	case l.Key == "":
		return settings.Setting{}, errors.New("a line without a key")
	case strings.ContainsAny(l.Key, "*?["):
		return settings.Setting{}, errors.New("a pattern of keys: name each that you need")
	}
	s, _ := settings.Lookup(settings.Linux, l.Key)
	return s, settings.CheckKey(settings.Linux, l.Key)
}

// valueOf is the line's value of s, or why it can't be held.
func (l Line) valueOf(s settings.Setting) (string, error) {
	if l.Value == "" {
		return "", fmt.Errorf("%s: no value", l.Key)
	}
	value := l.Value
	if _, whole := s.Value.(settings.Integer); whole {
		value = decimal(value)
	}
	if err := s.Check(value); err != nil {
		return "", err
	}
	if _, ok := s.Value.(settings.PortList); ok {
		list, _ := ports.ParseList(value)
		if n := len(list.ListRanges()); n > reservedPorts {
			return "", fmt.Errorf("%s: %d ranges, and linux.reservedPorts takes %d: make fewer, larger ones", s.Key, n, reservedPorts)
		}
	}
	return value, nil
}

// decimal spells a number as the kernel prints it, which also reads octal and
// hexadecimal ones (lib/kstrtox.c, simple_strtoul). Other text stays.
func decimal(value string) string {
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

// tree is a spec as JSON has it.
type tree map[string]any

// set puts a setting where the catalogue says that its field is.
func (t tree) set(s settings.Setting, value string) {
	if s.Field == "" {
		t.in([]string{"linux", "sysctls"})[s.Key] = value
		return
	}
	path := strings.Split(s.Field, ".")
	end := len(path) - 1
	t.in(path[:end])[path[end]] = fieldValue(s, value)
}

func (t tree) in(path []string) tree {
	for _, step := range path {
		next, ok := t[step].(tree)
		if !ok {
			next = tree{}
			t[step] = next
		}
		t = next
	}
	return t
}

// fieldValue is a value, which was checked, in the type of its field.
func fieldValue(s settings.Setting, value string) any {
	switch v := s.Value.(type) {
	case settings.Span:
		r, _ := settings.ParseSpan(value)
		return v1alpha1.EphemeralPorts{First: int32(r.First), Last: int32(r.Last), AllowLowPorts: r.First < lowPorts}
	case settings.PortList:
		list, _ := ports.ParseList(value)
		return strings.Split(list.String(), ",")
	case settings.Choice:
		for _, o := range v {
			if o.Value == value && s.Key == "net.ipv4.tcp_tw_reuse" {
				return o.Means // the field's own words: Off, All, Loopback
			}
		}
	}
	return json.Number(value)
}

// printable takes away what would steer a terminal.
func printable(r rune) rune {
	if strconv.IsPrint(r) {
		return r
	}
	return '\ufffd'
}
