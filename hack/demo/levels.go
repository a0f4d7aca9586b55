package main

import (
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
)

// levels are those that were seen, each once in a row.
type levels []v1alpha1.Level

// see notes a level, and says whether it is another one than before.
func (l *levels) see(level v1alpha1.Level) bool {
	if n := len(*l); n > 0 && (*l)[n-1] == level {
		return false
	}
	*l = append(*l, level)
	return true
}

// last is the level now, or "".
func (l levels) last() v1alpha1.Level {
	if len(l) == 0 {
		return ""
	}
	return l[len(l)-1]
}

func (l levels) String() string {
	words := make([]string, len(l))
	for i, level := range l {
		words[i] = string(level)
	}
	return strings.Join(words, " → ")
}

// inOrder says whether the node came under pressure step by step and recovered:
// Normal, Warning, Critical, and back, where the way back may be one step.
func (l levels) inOrder() bool {
	const n, w, c = v1alpha1.LevelNormal, v1alpha1.LevelWarning, v1alpha1.LevelCritical
	return slices.Equal(l, levels{n, w, c, w, n}) || slices.Equal(l, levels{n, w, c, n})
}
