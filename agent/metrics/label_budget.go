package metrics

import "time"

// The maximum numbers of label values within keepLabels that processes of the node can
// choose: the names of networks that are not pods', and the pools of such networks. They
// limit how many series a Prometheus has to store.
const (
	maxOtherNetworks = 32
	maxOtherPools    = 256
	keepLabels       = 24 * time.Hour
)

// labelBudget limits the number of different values over time. The first ones are admitted;
// others only when an admitted one was not used for keepLabels.
type labelBudget struct {
	max      int
	lastUsed map[string]time.Time
}

func newLabelBudget(limit int) labelBudget {
	return labelBudget{max: limit, lastUsed: map[string]time.Time{}}
}

// admit reports whether the value may be used, and records that it is.
func (b *labelBudget) admit(value string, now time.Time) bool {
	_, known := b.lastUsed[value]
	if !known && len(b.lastUsed) >= b.max && !b.forgetOne(now) {
		return false
	}
	b.lastUsed[value] = now
	return true
}

// forgetOne removes a value that was not used for keepLabels. It returns false if there is
// none.
func (b *labelBudget) forgetOne(now time.Time) bool {
	for value, used := range b.lastUsed {
		if now.Sub(used) > keepLabels {
			delete(b.lastUsed, value)
			return true
		}
	}
	return false
}
