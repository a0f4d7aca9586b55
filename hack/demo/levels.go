package main

import (
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
)

// levelHistory are those that were seen, each once in a row.
type levelHistory []v1alpha1.Level

// appendChange notes a level, and says whether it is another one than before.
func (l *levelHistory) appendChange(level v1alpha1.Level) bool {
	if n := len(*l); n > 0 && (*l)[n-1] == level {
		return false
	}
	*l = append(*l, level)
	return true
}

// lastLevel is the level now, or "".
func (l levelHistory) lastLevel() v1alpha1.Level {
	if len(l) == 0 {
		return ""
	}
	return l[len(l)-1]
}

func (l levelHistory) String() string {
	words := make([]string, len(l))
	for i, level := range l {
		words[i] = string(level)
	}
	return strings.Join(words, " → ")
}

// isInOrder says whether the node came under pressure step by step and recovered:
// Normal, Warning, Critical, and back, where the way back may be one step.
func (l levelHistory) isInOrder() bool {
	const n, w, c = v1alpha1.LevelNormal, v1alpha1.LevelWarning, v1alpha1.LevelCritical
	return slices.Equal(l, levelHistory{n, w, c, w, n}) || slices.Equal(l, levelHistory{n, w, c, n})
}
