package sysctlconf

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// Line is a line that sets a sysctl, or is meant to.
type Line struct {
	// File and Number locate the line.
	File   string
	Number int
	// Key is the sysctl's name with dots. A dot within a part, as in eth0.100, is a slash.
	Key string
	// Value is the text after the =, without a comment.
	Value string
	// Scope is the network in which the line sets the value.
	Scope Scope
	// Note is a remark about how the line was read, empty if there is none.
	Note string
}

// Scope is a network, the node's own if it is the zero value.
type Scope struct {
	IsPod bool
	// Namespace and Labels select the pods. Labels is a sorted list such as "app=web,tier=1".
	Namespace, Labels string
	// Name is the name of the workload, empty if the input does not have it.
	Name string
}

// Position returns the file and the line number, as compilers print them.
func (l Line) Position() string { return fmt.Sprintf("%s:%d", l.File, l.Number) }

// ParseFile parses the text of a file: a sysctl file, a shell script, or YAML or JSON such
// as a pod, a workload or a Compose file. It never fails: ConvertLines drops the lines
// without a valid key.
func ParseFile(file string, text []byte) []Line {
	content := strings.TrimPrefix(string(text), "\ufeff")
	lines, isYAML := parseYAML(file, content)
	if len(lines) > 0 {
		return lines
	}
	p := textParser{file: file, isScript: isYAML || isScript(content)} // a script may look like YAML
	p.parseText(content, 1)
	return p.lines
}

// textParser collects the lines of a sysctl file or of a script.
type textParser struct {
	file  string
	scope Scope
	// isScript means that lines without a known name of a sysctl are not meant to set one.
	isScript bool
	lines    []Line
}

// parseText parses text whose first line has that number.
func (p *textParser) parseText(text string, number int) {
	for _, l := range joinContinued(text) {
		if set := parseCommands(l.text); len(set) > 0 {
			for _, a := range set {
				p.addAssignment(a, number+l.index)
			}
			continue
		}
		p.addConfLine(l.text, number+l.index)
	}
}

func (p *textParser) addAssignment(a assignment, number int) {
	l := Line{File: p.file, Number: number, Key: normalizeKey(a.key), Value: strings.TrimSpace(a.value), Scope: p.scope}
	if a.onNode {
		l.Scope = Scope{}
	}
	p.lines = append(p.lines, l)
}

// addConfLine adds a line of a sysctl file, unless it is blank or a comment.
func (p *textParser) addConfLine(raw string, number int) {
	raw = strings.TrimSpace(raw)
	if raw == "" || raw[0] == '#' || raw[0] == ';' {
		return
	}
	key, value, isSet := strings.Cut(raw, "=")
	l := Line{File: p.file, Number: number, Key: normalizeKey(key), Value: trimComment(value), Scope: p.scope}
	if p.isScript && (!isSet || !isSysctlName(l.Key)) {
		return
	}
	if bare, isQuoted := trimQuotes(l.Value); isQuoted {
		l.Value = bare
		if _, keyIsQuoted := trimQuotes(strings.TrimSpace(key)); !keyIsQuoted { // as in TOML
			l.Note = "the quotes are removed; sysctl rejects a value with quotes, so this line had no effect so far"
		}
	}
	p.lines = append(p.lines, l)
}

// sysctlName matches the names of sysctls with dots.
var sysctlName = regexp.MustCompile(`^(abi|crypto|debug|dev|fs|kernel|net|sunrpc|user|vm)(\.[A-Za-z0-9_/*-]+)+$`)

func isSysctlName(key string) bool { return sysctlName.MatchString(key) }

// normalizeKey returns a key with dots, without quotes, and without a leading -, which
// means that failures are ignored.
func normalizeKey(key string) string {
	key, _ = trimQuotes(strings.TrimSpace(key))
	key = strings.TrimSpace(strings.TrimPrefix(key, "-"))
	key = strings.TrimPrefix(key, "/proc/sys/")
	// The first separator in the key is the one that separates its parts.
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '/' {
		return strings.NewReplacer("/", ".", ".", "/").Replace(key)
	}
	return key
}

// trimQuotes removes a pair of quotes around s.
func trimQuotes(s string) (bare string, isQuoted bool) {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '"' && s[0] != '\'' {
		return s, false
	}
	return strings.TrimSpace(s[1 : len(s)-1]), true
}

// trimComment removes a comment after a value. Neither format supports one, but files have
// them, and the kernel ignores text after a number.
func trimComment(value string) string {
	for i := range value {
		if i > 0 && (value[i] == '#' || value[i] == ';') && unicode.IsSpace(rune(value[i-1])) {
			value = value[:i]
			break
		}
	}
	return strings.TrimSpace(value)
}
