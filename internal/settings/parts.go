package settings

import (
	"slices"
	"strings"
)

// Unset stands for a registry value that does not exist, for which Windows uses its
// default. A NodeTuning can't set it, but it can be restored.
const Unset = "unset"

// partSeparator separates the values of parts that differ.
const partSeparator = "; "

// SplitParts returns the value of each part, or value itself for a setting without Parts.
func (s Setting) SplitParts(value string) []string {
	if len(s.Parts) == 0 {
		return []string{value}
	}
	if !strings.HasPrefix(value, s.Parts[0]+" ") {
		return slices.Repeat([]string{value}, len(s.Parts))
	}
	list := make([]string, len(s.Parts))
	for item := range strings.SplitSeq(value, partSeparator) {
		for i, name := range s.Parts {
			if rest, ok := strings.CutPrefix(item, name+" "); ok {
				list[i] = rest
			}
		}
	}
	return list
}

// JoinParts returns the value with the given parts. If they differ, it names each of them,
// as in "IPv4 1025 64511; IPv6 49152 16384".
func (s Setting) JoinParts(list []string) string {
	if !slices.ContainsFunc(list, func(v string) bool { return s.Value.canonicalize(v) != s.Value.canonicalize(list[0]) }) {
		return list[0]
	}
	items := make([]string, len(list))
	for i, v := range list {
		items[i] = s.Parts[i] + " " + v
	}
	return strings.Join(items, partSeparator)
}

// IsSame reports whether a and b are the same value, even if their spelling differs.
func (s Setting) IsSame(a, b string) bool { return !slices.Contains(s.compareParts(a, b), false) }

// HasSamePart reports whether any part of a equals that of b.
func (s Setting) HasSamePart(a, b string) bool { return slices.Contains(s.compareParts(a, b), true) }

// compareParts reports for each part whether it is the same in a and b.
func (s Setting) compareParts(a, b string) []bool {
	x, y := s.SplitParts(a), s.SplitParts(b)
	same := make([]bool, len(x))
	for i := range x {
		same[i] = s.Value.canonicalize(x[i]) == s.Value.canonicalize(y[i])
	}
	return same
}

// IsPersistent reports whether written values survive a restart of the machine: those in
// the registry and in netsh's persistent store do, sysctls don't.
func (os OS) IsPersistent() bool { return os == Windows }
