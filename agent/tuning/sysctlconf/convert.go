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
	// Tunings has one item for each scope with settings, in the order of the lines.
	Tunings []Tuning
	// Kept is the number of lines that Tunings contains.
	Kept int
	// Messages explain why the other lines were dropped, and have warnings about kept ones.
	Messages []Message
}

// Tuning has the settings of one scope.
type Tuning struct {
	Scope Scope
	// Spec has the settings, and the pods if the scope is one of pods, and nothing else.
	Spec v1alpha1.NodeTuningSpec
}

// maxReservedPorts is the API's limit of linux.reservedPorts, which the sysctl doesn't
// have.
const maxReservedPorts = 64

// ConvertLines converts lines, which must be in the order in which they would be applied:
// the last line of a key takes effect.
func ConvertLines(lines []Line) (r Result, err error) {
	last := findLast(lines)
	for _, l := range lines {
		s, err := l.findSetting()
		if err != nil {
			r.dropLine(l, err.Error())
			continue
		}
		if again := last[l.identify()]; again != l {
			reason := l.Key + ": set again in " + again.Position()
			if _, isObsolete := settings.ResolveAlias(l.Key); isObsolete {
				reason = l.Key + ": a name of Linux 2.4 and 2.6, which present kernels ignore; set as " + again.Key + " in " + again.Position()
			}
			r.dropLine(l, reason)
			continue
		}
		value, err := l.parseValue(s)
		if err != nil {
			r.dropLine(l, err.Error())
			continue
		}
		spec := r.selectSpec(l.Scope)
		if err := s.SetField(spec, value); err != nil {
			return r, err
		}
		r.Kept++
		r.describeKept(l, s, spec)
	}
	return r, nil
}

// settingID identifies a setting of a scope.
type settingID struct {
	scope Scope
	key   string
}

func (l Line) identify() settingID {
	name, _ := settings.ResolveAlias(l.Key)
	return settingID{l.Scope.identify(), name}
}

// identify returns the scope without its name if labels select the pods: those of a
// workload have different names.
func (s Scope) identify() Scope {
	if s.Labels != "" {
		s.Name = ""
	}
	return s
}

// findLast returns the line of each setting that takes effect. A line with a name that no
// supported kernel has takes effect only if there is no other.
func findLast(lines []Line) map[settingID]Line {
	last := map[settingID]Line{}
	for _, l := range lines {
		_, isObsolete := settings.ResolveAlias(l.Key)
		if _, isSet := last[l.identify()]; !isSet || !isObsolete {
			last[l.identify()] = l
		}
	}
	return last
}

// selectSpec returns the spec of a scope.
func (r *Result) selectSpec(s Scope) *v1alpha1.NodeTuningSpec {
	for i := range r.Tunings {
		if r.Tunings[i].Scope.identify() == s.identify() {
			return &r.Tunings[i].Spec
		}
	}
	r.Tunings = append(r.Tunings, Tuning{Scope: s, Spec: v1alpha1.NodeTuningSpec{Pods: s.selectPods()}})
	return &r.Tunings[len(r.Tunings)-1].Spec
}

// selectPods returns the selectors of the scope, nil for the node's own network.
func (s Scope) selectPods() *v1alpha1.PodScope {
	if !s.IsPod {
		return nil
	}
	labels := map[string]string{}
	if s.Labels != "" {
		for label := range strings.SplitSeq(s.Labels, ",") {
			key, value, _ := strings.Cut(label, "=")
			labels[key] = value
		}
	}
	return v1alpha1.NewPodScope(s.Namespace, labels)
}

// describeKept adds the messages about a line that was kept.
func (r *Result) describeKept(l Line, s settings.Setting, spec *v1alpha1.NodeTuningSpec) {
	keep := func(text string) { r.Messages = append(r.Messages, Message{l, "kept " + l.Key + text}) }
	switch _, isObsolete := settings.ResolveAlias(l.Key); {
	case isObsolete:
		keep(": a name of Linux 2.4 and 2.6, which present kernels ignore; now set as " + s.Key)
	case s.Key != l.Key:
		keep(": another name of " + s.Key)
	}
	if l.Note != "" {
		keep(": " + l.Note)
	}
	if s.Key == settings.KeyLocalPortRange && spec.Linux.EphemeralPorts.AllowLowPorts {
		keep(fmt.Sprintf(" with allowLowPorts: services listen on ports below %d, so first: %d is safer",
			settings.SafeFirstPort, settings.SafeFirstPort))
	}
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
	name, _ := settings.ResolveAlias(l.Key)
	s, ok := settings.Lookup(settings.Linux, name)
	if ok {
		return s, nil
	}
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
