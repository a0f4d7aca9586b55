package settings

import (
	"slices"
	"strings"
)

// Unset is what a value of the registry reads as that is not there: Windows then has
// a default of its own. A NodeTuning can't ask for it, but it can be given back.
const Unset = "unset"

// partSeparator parts the values of parts that differ.
const partSeparator = "; "

// SplitParts gives the value of each part; of a setting without Parts its own.
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

// JoinParts spells the value whose parts are list: as the value where all have the same,
// else each by its name, such as "IPv4 1025 64511; IPv6 49152 16384".
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

// IsSame says whether a and b are the same value, however they are spelled.
func (s Setting) IsSame(a, b string) bool { return !slices.Contains(s.compareParts(a, b), false) }

// HasSamePart says whether any part of a and b is the same.
func (s Setting) HasSamePart(a, b string) bool { return slices.Contains(s.compareParts(a, b), true) }

// compareParts says of each part whether it is the same in a and in b.
func (s Setting) compareParts(a, b string) []bool {
	x, y := s.SplitParts(a), s.SplitParts(b)
	same := make([]bool, len(x))
	for i := range x {
		same[i] = s.Value.canonicalize(x[i]) == s.Value.canonicalize(y[i])
	}
	return same
}

// IsPersistent says whether what is written outlives a restart of the machine: the registry
// and netsh's persistent store do, sysctls don't.
func (os OS) IsPersistent() bool { return os == Windows }
