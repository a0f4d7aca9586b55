package podevents

import (
	"slices"
	"time"
)

// budget is when something was said in the last hour.
type budget []time.Time

// room says whether one more is within limit. The last place is kept for what gets
// worse: that it is better can wait.
func (b *budget) room(now time.Time, limit int, better bool) bool {
	*b = slices.DeleteFunc(*b, func(at time.Time) bool { return now.Sub(at) >= time.Hour })
	if better {
		limit--
	}
	return len(*b) < limit
}

func (b *budget) spend(now time.Time) { *b = append(*b, now) }
