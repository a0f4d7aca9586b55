package socket

import "cmp"

// Level is how near a pool is to its end.
type Level uint8

// The levels, the best first.
const (
	Normal Level = iota
	Warning
	Critical
)

func (l Level) String() string {
	return [...]string{"Normal", "Warning", "Critical"}[min(l, Critical)]
}

// Thresholds are the percentages, 1 to 100, at which levels begin.
type Thresholds struct{ Warning, Critical int }

// DefaultThresholds warn at half: from 50 % of a pool on connect() looks at all taken
// ports of one parity first, and takes dozens of times as long (docs/benchmarks.md).
var DefaultThresholds = Thresholds{Warning: 50, Critical: 85}

// OrDefault is t, or the default where t is the zero value.
func (t Thresholds) OrDefault() Thresholds { return cmp.Or(t, DefaultThresholds) }

// Level is the level of a pool that is percent used.
func (t Thresholds) Level(percent int) Level {
	switch {
	case percent >= t.Critical:
		return Critical
	case percent >= t.Warning:
		return Warning
	}
	return Normal
}

// hysteresis is how many points below its threshold a level still holds: a pool
// that hovers at the line does not flap.
const hysteresis = 5

// Next is the level after was, now that the tightest pool is percent used. It
// rises at once, and falls when the percentage is clearly below the line.
func (t Thresholds) Next(was Level, percent int) Level {
	if up := t.Level(percent); up >= was {
		return up
	}
	return min(was, Thresholds{t.Warning - hysteresis, t.Critical - hysteresis}.Level(percent))
}
