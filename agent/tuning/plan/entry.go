package plan

import (
	"slices"
	"time"

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
	return slices.ContainsFunc(e.listWritten(), func(v string) bool { return def.IsSame(def.SplitParts(v)[i], part) })
}

// listWritten returns the values that are present because of Portreeve's writes.
func (e *JournalEntry) listWritten() []string {
	if e.Rounded == "" {
		return e.Wrote
	}
	return append(slices.Clone(e.Wrote), e.Rounded)
}

// isRoundedTo reports whether now is what the kernel makes of value.
func (e *JournalEntry) isRoundedTo(def settings.Setting, value, now string) bool {
	return e.Rounded != "" && def.IsSame(e.Rounded, now) && def.IsSame(e.Wrote[0], value)
}

// confirm returns the entry after Wrote[0] was written and now was read back.
func (e JournalEntry) confirm(def settings.Setting, now string, m Memory) JournalEntry {
	e.Wrote, e.Confirmed, e.Others, e.Memory = e.Wrote[:1:1], true, "", m
	if _, isList := def.Value.(settings.PortList); isList {
		return e
	}
	e.Rounded = ""
	if !def.IsSame(now, e.Wrote[0]) {
		e.Rounded = now
	}
	if e.Found != "" && !def.IsSame(now, e.Found) { // Found was another program's
		e.Original = e.Found
	}
	e.Found = ""
	return e
}

// equals reports whether e and o are the same, apart from Boot, Live and At.
func (e *JournalEntry) equals(o *JournalEntry) bool {
	return e.Original == o.Original && slices.Equal(e.Wrote, o.Wrote) && e.Confirmed == o.Confirmed && e.Found == o.Found &&
		e.Rounded == o.Rounded && e.Others == o.Others && e.Temporary == o.Temporary && e.Memory.equals(&o.Memory)
}

// isEmpty reports whether m says nothing about its desired value.
func (m *Memory) isEmpty() bool {
	return !m.Applied && !m.Overridden && m.Contested.IsZero() && len(m.Repairs)+len(m.Activations) == 0
}

// equals reports whether the parts of m and o that the journal has are the same.
func (m *Memory) equals(o *Memory) bool {
	if m.isEmpty() && o.isEmpty() {
		return true
	}
	isSame := func(a, b time.Time) bool { return a.Equal(b) }
	return m.Desired == o.Desired && m.Applied == o.Applied && m.Contested.Equal(o.Contested) && m.Overridden == o.Overridden &&
		slices.EqualFunc(m.Repairs, o.Repairs, isSame) && slices.EqualFunc(m.Activations, o.Activations, isSame)
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
	for _, v := range e.listWritten() {
		if !def.IsSame(v, next) && def.HasSamePart(v, value) {
			list = append(list, v)
		}
	}
	return list
}
