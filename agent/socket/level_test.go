package socket

import "testing"

func TestLevelsRiseAtOnceAndFallBelowTheLine(t *testing.T) {
	th := Thresholds{Warning: 50, Critical: 85}
	for name, c := range map[string]struct {
		percents []int
		want     []Level
	}{
		"up and down step by step":           {[]int{49, 50, 84, 85, 81, 80, 79, 46, 45, 44}, []Level{Normal, Warning, Warning, Critical, Critical, Critical, Warning, Warning, Warning, Normal}},
		"straight to the top and back":       {[]int{0, 100, 0}, []Level{Normal, Critical, Normal}},
		"hovering at a line does not flap":   {[]int{50, 49, 50, 48, 50}, []Level{Warning, Warning, Warning, Warning, Warning}},
		"hovering below the line is nothing": {[]int{49, 46, 49}, []Level{Normal, Normal, Normal}},
		"from the top into the middle":       {[]int{90, 60}, []Level{Critical, Warning}},
	} {
		t.Run(name, func(t *testing.T) {
			l := Normal
			for i, p := range c.percents {
				if l = th.Next(l, p); l != c.want[i] {
					t.Fatalf("after %v: %v, want %v", c.percents[:i+1], l, c.want[i])
				}
			}
		})
	}
}
