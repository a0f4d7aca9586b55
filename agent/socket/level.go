package socket

import "portreeve.io/portreeve/api/v1alpha1"

// hysteresis is the number of percentage points by which usage has to be below a threshold
// before the level falls, so that a pool near a threshold does not flap.
const hysteresis = 5

// NextLevel returns the level that follows previous, now that the pool nearest to
// exhaustion is percent used. The level rises at once, and falls when percent is below
// its threshold by more than the hysteresis.
func NextLevel(t v1alpha1.Thresholds, previous v1alpha1.Level, percent int) v1alpha1.Level {
	level := t.Level(int32(percent))
	if !previous.IsWorseThan(level) {
		return level
	}
	if kept := t.Level(int32(percent + hysteresis)); previous.IsWorseThan(kept) {
		return kept
	}
	return previous
}
