package plan

import (
	"slices"

	"portreeve.io/portreeve/internal/settings"
)

// hasWrittenValue says whether value is one of ours: each of its parts is what we wrote or the
// original's, and not all are the original's. A process that is killed between two
// parts leaves such a mixture.
func (e *JournalEntry) hasWrittenValue(def settings.Setting, value string) (ours bool) {
	originals := def.Split(e.Original)
	for i, part := range def.Split(value) {
		switch {
		case e.hasWrittenPart(def, i, part):
			ours = true
		case !def.Same(part, originals[i]):
			return false
		}
	}
	return ours
}

// hasWrittenPart says whether part is what we wrote as the i-th.
func (e *JournalEntry) hasWrittenPart(def settings.Setting, i int, part string) bool {
	return slices.ContainsFunc(e.Wrote, func(v string) bool { return def.Same(def.Split(v)[i], part) })
}

// restoreValue is what would stand without us where value does: the original of each part
// that is ours, and what others wrote in the rest.
func (e *JournalEntry) restoreValue(def settings.Setting, value string) string {
	parts, originals := def.Split(value), def.Split(e.Original)
	for i := range parts {
		if e.hasWrittenPart(def, i, parts[i]) {
			parts[i] = originals[i]
		}
	}
	return def.Join(parts)
}

// listPresentValues are the values of ours, other than next, of which a part stands in value.
func (e *JournalEntry) listPresentValues(def settings.Setting, value, next string) (list []string) {
	for _, v := range e.Wrote {
		if !def.Same(v, next) && def.Overlap(v, value) {
			list = append(list, v)
		}
	}
	return list
}
