package plan

import (
	"slices"

	"portreeve.io/portreeve/internal/settings"
)

// wrote says whether value is one of ours: each of its parts is what we wrote or the
// original's, and not all are the original's. A process that is killed between two
// parts leaves such a mixture.
func (e *Entry) wrote(is settings.Setting, value string) (ours bool) {
	originals := is.SplitParts(e.Original)
	for i, part := range is.SplitParts(value) {
		switch {
		case e.hasWritten(is, i, part):
			ours = true
		case !is.IsSame(part, originals[i]):
			return false
		}
	}
	return ours
}

// hasWritten says whether part is what we wrote as the i-th.
func (e *Entry) hasWritten(is settings.Setting, i int, part string) bool {
	return slices.ContainsFunc(e.Wrote, func(v string) bool { return is.IsSame(is.SplitParts(v)[i], part) })
}

// beneath is what would stand without us where value does: the original of each part
// that is ours, and what others wrote in the rest.
func (e *Entry) beneath(is settings.Setting, value string) string {
	parts, originals := is.SplitParts(value), is.SplitParts(e.Original)
	for i := range parts {
		if e.hasWritten(is, i, parts[i]) {
			parts[i] = originals[i]
		}
	}
	return is.JoinParts(parts)
}

// standing are the values of ours, other than next, of which a part stands in value.
func (e *Entry) standing(is settings.Setting, value, next string) (list []string) {
	for _, v := range e.Wrote {
		if !is.IsSame(v, next) && is.HasSamePart(v, value) {
			list = append(list, v)
		}
	}
	return list
}
