package main

import (
	"testing"

	"portreeve.io/portreeve/api/v1alpha1"
)

func TestPressureAndRecoveryAreRecognised(t *testing.T) {
	const n, w, c = v1alpha1.LevelNormal, v1alpha1.LevelWarning, v1alpha1.LevelCritical
	tests := map[string]struct {
		seen []v1alpha1.Level
		want bool
	}{
		"up and back step by step":        {[]v1alpha1.Level{n, w, c, w, n}, true},
		"each level many times":           {[]v1alpha1.Level{n, n, w, w, w, c, c, w, n, n}, true},
		"back in one step":                {[]v1alpha1.Level{n, w, c, n}, true},
		"nothing was seen":                {nil, false},
		"always Normal":                   {[]v1alpha1.Level{n}, false},
		"never Critical":                  {[]v1alpha1.Level{n, w, n}, false},
		"no recovery":                     {[]v1alpha1.Level{n, w, c, w}, false},
		"Critical without a Warning":      {[]v1alpha1.Level{n, c, w, n}, false},
		"pressure from the start":         {[]v1alpha1.Level{w, c, w, n}, false},
		"flapping at the critical level":  {[]v1alpha1.Level{n, w, c, w, c, w, n}, false},
		"a level that was not measurable": {[]v1alpha1.Level{n, w, "", c, w, n}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var l levelHistory
			for i, level := range tt.seen {
				if isNew := l.appendChange(level); isNew != (i == 0 || tt.seen[i-1] != level) {
					t.Errorf("%q after %q is a change: %v", level, tt.seen[:i], isNew)
				}
			}
			if got := l.isInOrder(); got != tt.want {
				t.Errorf("%q in order: %v, want %v", l, got, tt.want)
			}
		})
	}
}
