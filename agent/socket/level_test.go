package socket

import (
	"testing"

	"portreeve.io/portreeve/api/v1alpha1"
)

func TestLevelsRiseAtOnceAndFallBelowTheHysteresis(t *testing.T) {
	const normal, warning, critical = v1alpha1.LevelNormal, v1alpha1.LevelWarning, v1alpha1.LevelCritical
	for name, c := range map[string]struct {
		percents []int
		want     []v1alpha1.Level
	}{
		"rises and falls step by step":              {[]int{49, 50, 84, 85, 81, 80, 79, 46, 45, 44}, []v1alpha1.Level{normal, warning, warning, critical, critical, critical, warning, warning, warning, normal}},
		"rises to 100 % and falls to 0 %":           {[]int{0, 100, 0}, []v1alpha1.Level{normal, critical, normal}},
		"a pool near a threshold does not flap":     {[]int{50, 49, 50, 48, 50}, []v1alpha1.Level{warning, warning, warning, warning, warning}},
		"a pool just below the threshold is Normal": {[]int{49, 46, 49}, []v1alpha1.Level{normal, normal, normal}},
		"falls from Critical to Warning":            {[]int{90, 60}, []v1alpha1.Level{critical, warning}},
		"stays Critical within the hysteresis":      {[]int{85, 82, 44}, []v1alpha1.Level{critical, critical, normal}},
	} {
		t.Run(name, func(t *testing.T) {
			var level v1alpha1.Level
			for i, p := range c.percents {
				if level = NextLevel(v1alpha1.Thresholds{}, level, p); level != c.want[i] {
					t.Fatalf("after %v: %v, want %v", c.percents[:i+1], level, c.want[i])
				}
			}
		})
	}
}

func TestTheHysteresisFollowsTheThresholds(t *testing.T) {
	thresholds := v1alpha1.Thresholds{WarningPercent: 40}
	for percent, want := range map[int]v1alpha1.Level{36: v1alpha1.LevelWarning, 35: v1alpha1.LevelWarning, 34: v1alpha1.LevelNormal} {
		if got := NextLevel(thresholds, v1alpha1.LevelWarning, percent); got != want {
			t.Errorf("at %d %%: %s, want %s", percent, got, want)
		}
	}
}
