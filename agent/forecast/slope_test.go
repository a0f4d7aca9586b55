package forecast

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func newDataPoints(values ...float64) (s []dataPoint) {
	for i, v := range values {
		s = append(s, dataPoint{float64(i), v})
	}
	return s
}

func TestSlope(t *testing.T) {
	for name, c := range map[string]struct {
		in   []dataPoint
		want slope
		ok   bool
	}{
		"three points are too few":           {newDataPoints(1, 2, 3), slope{}, false},
		"four are enough":                    {newDataPoints(1, 3, 5, 7), slope{2, 2, 2}, true},
		"an outlier does not change it":      {newDataPoints(0, 1, 2, 3, 900, 5, 6, 7, 8), slope{1, 1, 1}, true},
		"noise has no slope":                 {newDataPoints(5, 7, 4, 6, 5, 6, 4, 7), slope{upperBound: 0.6}, true},
		"a fall is negative":                 {newDataPoints(9, 6, 3, 0), slope{-3, -3, -3}, true},
		"points at the same time count once": {[]dataPoint{{0, 1}, {0, 5}, {0, 9}, {0, 2}}, slope{}, false},
		"no points":                          {nil, slope{}, false},
		"a step in the middle has no slope":  {newDataPoints(0, 0, 0, 0, 9, 9, 9, 9), slope{upperBound: 2.25}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := estimateSlope(c.in)
			if ok != c.ok {
				t.Errorf("ok is %v, want %v", ok, c.ok)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(slope{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDownsamplingKeepsTheLastPoint(t *testing.T) {
	for n, want := range map[int][]int{1: {9}, 3: {1, 5, 9}, 5: {1, 3, 5, 7, 9}, 10: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}} {
		if diff := cmp.Diff(want, downsamplePoints([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, n)); diff != "" {
			t.Errorf("to %d: %s", n, diff)
		}
	}
}
