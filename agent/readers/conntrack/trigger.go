package conntrack

import "time"

const (
	// readAfterRise is the time for which the table is read after insert_failed increased.
	readAfterRise = 10 * time.Minute
	// failingAfterRise is the time for which connections are assumed to fail after that.
	failingAfterRise = time.Minute
)

// failureTrigger watches the counter insert_failed of one namespace. The counter also
// increases for other reasons, such as two simultaneous packets of one UDP connection,
// so only the table shows whether SNAT was the cause.
type failureTrigger struct {
	isKnown  bool
	count    uint64
	lastRise time.Time
}

// recordCount records the counter's value at a time, nil if it can't be read.
func (t *failureTrigger) recordCount(count *uint64, now time.Time) {
	if count == nil {
		return
	}
	if t.isKnown && *count > t.count {
		t.lastRise = now
	}
	t.isKnown, t.count = true, *count
}

// shouldReadTable reports whether the table should be read.
func (t *failureTrigger) shouldReadTable(now time.Time) bool {
	return t.hasRisenWithin(readAfterRise, now)
}

// isFailing reports whether connections are currently failing.
func (t *failureTrigger) isFailing(now time.Time) bool {
	return t.hasRisenWithin(failingAfterRise, now)
}

// hasRisenWithin reports whether the counter increased less than d ago.
func (t *failureTrigger) hasRisenWithin(d time.Duration, now time.Time) bool {
	return !t.lastRise.IsZero() && now.Sub(t.lastRise) < d
}
