package forecast

import (
	"math"
	"slices"
)

// dataPoint is a value at a time, in seconds.
type dataPoint struct{ at, value float64 }

// slope is an increase per second: the likely one, and its bounds.
type slope struct{ likely, lowerBound, upperBound float64 }

// estimateSlope returns the Theil–Sen estimate, which is the median of the slopes between
// all pairs of points and is robust against outliers, and the ends of its 95 %
// confidence interval (Sen 1968). A slope that may be noise is 0. ok is false if there are
// fewer than 4 points.
func estimateSlope(points []dataPoint) (s slope, ok bool) {
	slopes := make([]float64, 0, len(points)*len(points)/2)
	for i, a := range points {
		for _, b := range points[i+1:] {
			if b.at > a.at {
				slopes = append(slopes, (b.value-a.value)/(b.at-a.at))
			}
		}
	}
	n, pairs := float64(len(points)), float64(len(slopes))
	width := 1.96 * math.Sqrt(n*(n-1)*(2*n+5)/18)
	low := int(math.Floor((pairs - width) / 2))
	if low < 0 || len(points) < 4 {
		return slope{}, false
	}
	slices.Sort(slopes)
	least, most := slopes[low], slopes[len(slopes)-1-low]
	if least <= 0 && most >= 0 {
		return slope{upperBound: most}, true
	}
	return slope{slopes[len(slopes)/2], least, most}, true
}

// estimateMean returns the mean of the values, with one standard error to each side.
func estimateMean(points []dataPoint) slope {
	n := float64(len(points))
	var sum, squares float64
	for _, p := range points {
		sum += p.value
	}
	m := sum / n
	for _, p := range points {
		squares += (p.value - m) * (p.value - m)
	}
	deviation := math.Sqrt(squares / (n * max(1, n-1)))
	return slope{m, m - deviation, m + deviation}
}

// downsamplePoints returns at most n points at regular intervals, including the last one.
func downsamplePoints[T any](points []T, n int) []T {
	every := (len(points) + n - 1) / n
	if every <= 1 {
		return points
	}
	var kept []T
	for i := (len(points) - 1) % every; i < len(points); i += every {
		kept = append(kept, points[i])
	}
	return kept
}
