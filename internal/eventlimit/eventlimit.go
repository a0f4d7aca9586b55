// Package eventlimit limits how many Events are written about one object, and how often
// the same problem is reported again. It is pure: callers pass the time.
package eventlimit

import (
	"slices"
	"time"
)

const (
	// ObjectHourlyLimit is the maximum number of Events of one kind about an object in an
	// hour.
	ObjectHourlyLimit = 6
	// RepeatInterval is the time after which failed calls that continue are reported again.
	RepeatInterval = 10 * time.Minute
)

// window is the time that a Budget covers.
const window = time.Hour

// Budget records the Events of the last hour. The zero value has none.
type Budget struct {
	written []time.Time // the oldest first
}

// Record adds an Event that is written at now.
func (b *Budget) Record(now time.Time) { b.written = append(b.written, now) }

// CountRemaining returns how many more Events are within an hourly limit.
func (b *Budget) CountRemaining(limit int, now time.Time) int {
	b.written = slices.DeleteFunc(b.written, func(at time.Time) bool { return now.Sub(at) >= window })
	return limit - len(b.written)
}

// NextExpiry returns when the oldest recorded Event no longer counts, and the zero time
// if there is none.
func (b *Budget) NextExpiry() time.Time {
	if len(b.written) == 0 {
		return time.Time{}
	}
	return b.written[0].Add(window)
}

// Allows reports whether one more Event may be written when remaining are left. The last
// one is kept for what gets worse: an improvement can wait.
func Allows(remaining int, isImprovement bool) bool {
	if isImprovement {
		remaining--
	}
	return remaining > 0
}

// IsRepeatDue reports whether a call that failed at lastFailure may be reported when one
// was already reported at lastReported.
func IsRepeatDue(lastFailure, lastReported time.Time) bool {
	return lastFailure.Sub(lastReported) >= RepeatInterval
}
