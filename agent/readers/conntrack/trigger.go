package conntrack

import "time"

const (
	// readAfterRise is how long the table is read on after insert_failed has risen.
	readAfterRise = 10 * time.Minute
	// failingAfterRise is how long connections are taken to fail after it has.
	failingAfterRise = time.Minute
)

// failureTrigger follows the counter insert_failed of one namespace. It also rises for
// other reasons, such as two packets of one UDP connection at the same time: the
// table then says whether it was SNAT.
type failureTrigger struct {
	isKnown  bool
	count    uint64
	lastRise time.Time
}

// recordCount takes the counter at a time; nil where it can't be read.
func (t *failureTrigger) recordCount(count *uint64, now time.Time) {
	if count == nil {
		return
	}
	if t.isKnown && *count > t.count {
		t.lastRise = now
	}
	t.isKnown, t.count = true, *count
}

// shouldReadTable says that the table should be read.
func (t *failureTrigger) shouldReadTable(now time.Time) bool {
	return t.hasRisenWithin(readAfterRise, now)
}

// isFailing says that connections are failing.
func (t *failureTrigger) isFailing(now time.Time) bool {
	return t.hasRisenWithin(failingAfterRise, now)
}

func (t *failureTrigger) hasRisenWithin(d time.Duration, now time.Time) bool {
	return !t.lastRise.IsZero() && now.Sub(t.lastRise) < d
}
