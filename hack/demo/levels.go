package main

import (
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
)

// levelHistory is the sequence of levels, without repetitions.
type levelHistory []v1alpha1.Level

// appendChange appends a level that differs from the last one, and reports whether it does.
func (l *levelHistory) appendChange(level v1alpha1.Level) bool {
	if n := len(*l); n > 0 && (*l)[n-1] == level {
		return false
	}
	*l = append(*l, level)
	return true
}

// lastLevel returns the newest level, or "".
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

// isInOrder reports whether the node came under pressure step by step and recovered:
// Normal, Warning, Critical, and back, either in one step or through Warning.
func (l levelHistory) isInOrder() bool {
	const n, w, c = v1alpha1.LevelNormal, v1alpha1.LevelWarning, v1alpha1.LevelCritical
	return slices.Equal(l, levelHistory{n, w, c, w, n}) || slices.Equal(l, levelHistory{n, w, c, n})
}
