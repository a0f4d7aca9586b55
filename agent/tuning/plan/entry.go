package plan

import (
	"slices"

	"portreeve.io/portreeve/internal/settings"
)

// hasWrittenValue reports whether Portreeve wrote value: each part is one that it wrote
// or the original, and at least one is its own. A process killed between two parts
// leaves such a mixture.
func (e *JournalEntry) hasWrittenValue(def settings.Setting, value string) (isOurs bool) {
	originals := def.SplitParts(e.Original)
	for i, part := range def.SplitParts(value) {
		switch {
		case e.hasWrittenPart(def, i, part):
			isOurs = true
		case !def.IsSame(part, originals[i]):
			return false
		}
	}
	return isOurs
}

// hasWrittenPart reports whether Portreeve wrote part as the i-th part.
func (e *JournalEntry) hasWrittenPart(def settings.Setting, i int, part string) bool {
	return slices.ContainsFunc(e.Wrote, func(v string) bool { return def.IsSame(def.SplitParts(v)[i], part) })
}

// restoreValue returns the value the key would have if Portreeve had not written it:
// the original of each part that Portreeve wrote, and the current value of the others.
func (e *JournalEntry) restoreValue(def settings.Setting, value string) string {
	parts, originals := def.SplitParts(value), def.SplitParts(e.Original)
	for i := range parts {
		if e.hasWrittenPart(def, i, parts[i]) {
			parts[i] = originals[i]
		}
	}
	return def.JoinParts(parts)
}

// listPresentValues returns the written values, except next, that share a part with
// value.
func (e *JournalEntry) listPresentValues(def settings.Setting, value, next string) (list []string) {
	for _, v := range e.Wrote {
		if !def.IsSame(v, next) && def.HasSamePart(v, value) {
			list = append(list, v)
		}
	}
	return list
}
