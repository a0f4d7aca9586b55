package conntrack

import "time"

const (
	// hold is how long the table is read on after insert_failed has risen.
	hold = 10 * time.Minute
	// fresh is how long connections are taken to fail after it has.
	fresh = time.Minute
)

// trigger follows the counter insert_failed of one namespace. It also rises for
// other reasons, such as two packets of one UDP connection at the same time: the
// table then says whether it was SNAT.
type trigger struct {
	known bool
	count uint64
	rose  time.Time
}

// see takes the counter at a time; nil where it can't be read.
func (t *trigger) see(count *uint64, now time.Time) {
	if count == nil {
		return
	}
	if t.known && *count > t.count {
		t.rose = now
	}
	t.known, t.count = true, *count
}

// pulled says that the table should be read.
func (t *trigger) pulled(now time.Time) bool { return t.within(hold, now) }

// failing says that connections are failing.
func (t *trigger) failing(now time.Time) bool { return t.within(fresh, now) }

func (t *trigger) within(d time.Duration, now time.Time) bool {
	return !t.rose.IsZero() && now.Sub(t.rose) < d
}
