package assess

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// A condition that changes is written at once, so none may flap: each gets worse
// immediately, but better only after some time.

// maxMessage is the maximum length of a condition's message, in characters. A status must
// have space for three of them.
const maxMessage = 400

func newCondition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: cleanText(message, maxMessage)}
}

// updateConditions updates the conditions from status. The time of a transition changes
// only with the condition's status.
func (h *StatusHistory) updateConditions(status *v1alpha1.PortPressureStatus) {
	lastReason := ""
	if before := meta.FindStatusCondition(h.conditions, v1alpha1.ConditionConntrackAvailable); before != nil {
		lastReason = before.Reason
	}
	all := []metav1.Condition{
		evaluatePortsAvailable(status),
		h.conntrack.evaluateAvailable(status.Conntrack, lastReason),
		h.leak.evaluateSuspected(status),
	}
	before := meta.FindStatusCondition(h.conditions, v1alpha1.ConditionPortRangeCollision)
	if c, ok := h.collision.evaluateCollision(status, before); ok {
		all = append(all, c)
	}
	for _, now := range all {
		now.ObservedGeneration, now.LastTransitionTime = status.ObservedGeneration, *status.ObservedAt
		meta.SetStatusCondition(&h.conditions, now)
	}
	status.Conditions = slices.Clone(h.conditions)
}

func evaluatePortsAvailable(status *v1alpha1.PortPressureStatus) metav1.Condition {
	const kind = v1alpha1.ConditionPortsAvailable
	if status.Level == "" {
		return newCondition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNotMeasured, "no network could be measured")
	}
	available := metav1.ConditionTrue
	if status.Level == v1alpha1.LevelCritical {
		available = metav1.ConditionFalse
	}
	p := status.Tightest
	used := strconv.Itoa(int(p.Used))
	if p.UsedMax != nil && *p.UsedMax > p.Used {
		used += fmt.Sprintf(" to %d", *p.UsedMax)
	}
	message := fmt.Sprintf("%s of %d ports are in use: %s", used, p.Capacity, p.Summary)
	return newCondition(kind, available, string(status.Level), message)
}

// conntrackHistory is the history of the packets that connection tracking dropped.
type conntrackHistory struct {
	isKnown     bool   // total and at are set
	total       uint64 // packets dropped since boot
	at          time.Time
	recentDrops float64 // recent ones, with a weight that decays with age
}

const (
	// nearlyFullPercent is the usage in percent at which the table is nearly full.
	nearlyFullPercent = 90
	// The condition becomes False at raiseDrops recent drops, and True again below
	// clearDrops. A healthy table occasionally drops a packet when two race for one entry.
	raiseDrops, clearDrops = 10, 1
	// dropDecay is the time in which the weight of a drop falls to 1/e.
	dropDecay = 5 * time.Minute
)

// countConntrack records the kernel's counters as of sample. prior and completeStatus
// depend on it.
func (h *StatusHistory) countConntrack(sample *socket.Sample, f Facts) {
	h.evictions.setTotal(readEvictions(sample, f))
	if total, ok := readDrops(sample, f); ok {
		h.conntrack.addDrops(total, sample.Taken)
	}
}

// addDrops records the number of packets dropped since boot. A total that decreases comes
// from another source or a new namespace.
func (k *conntrackHistory) addDrops(total uint64, now time.Time) {
	if k.isKnown && !now.Before(k.at) {
		k.recentDrops *= math.Exp(-now.Sub(k.at).Seconds() / dropDecay.Seconds())
		if total > k.total {
			k.recentDrops += float64(total - k.total)
		}
	}
	k.isKnown, k.total, k.at = true, total, now
}

// readDrops returns the number of packets that the node's connection tracking has dropped
// because it could not create an entry, since the table was full or a translated source
// had no free port. insert_failed is less useful, since it also counts races that lose no
// packet (__nf_ct_resolve_clash, net/netfilter/nf_conntrack_core.c).
func readDrops(sample *socket.Sample, f Facts) (total uint64, ok bool) {
	if f.Conntrack != nil && f.Conntrack.Drop != nil {
		return uint64(*f.Conntrack.Drop), true
	}
	if c := findHostConntrack(sample); c != nil {
		return c.Drop, true
	}
	return 0, false
}

// evaluateAvailable returns the condition for a table, nil if its size is not known, and
// the reason that the condition had before.
func (k *conntrackHistory) evaluateAvailable(table *v1alpha1.Conntrack, lastReason string) metav1.Condition {
	const kind = v1alpha1.ConditionConntrackAvailable
	if table == nil && !k.isKnown {
		return newCondition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNotMeasured,
			"connection tracking is not in use, or can't be read")
	}
	entries, nearlyFull := "the number of entries can't be read", false
	if table != nil {
		entries = fmt.Sprintf("%d of %d entries", table.Entries, table.Max)
		nearlyFull = table.UsedPercent >= nearlyFullPercent ||
			lastReason == v1alpha1.ReasonConntrackNearlyFull && table.UsedPercent >= nearlyFullPercent-5
	}
	switch {
	case k.recentDrops >= raiseDrops || lastReason == v1alpha1.ReasonConntrackInsertFailed && k.recentDrops >= clearDrops:
		return newCondition(kind, metav1.ConditionFalse, v1alpha1.ReasonConntrackInsertFailed,
			fmt.Sprintf("packets were dropped recently because no entry could be created; %s", entries))
	case nearlyFull:
		return newCondition(kind, metav1.ConditionFalse, v1alpha1.ReasonConntrackNearlyFull, entries)
	}
	return newCondition(kind, metav1.ConditionTrue, v1alpha1.ReasonConntrackAvailable, entries)
}

// leakHistory is the last leak that was found.
type leakHistory struct {
	cause  v1alpha1.Cause
	pool   string // its summary, or the network's name
	seenAt time.Time
	// closeWait describes the sockets in CLOSE_WAIT of a leak that need not fill a pool, since
	// closeWaitSince; empty if there are none.
	closeWait      string
	closeWaitSince time.Time
}

// leakDelay is the time for which sockets must be in CLOSE_WAIT, without filling a pool, to be
// a leak: a program that is slow for a moment closes them later.
const leakDelay = 2 * time.Minute

// suspectCloseWait records the description of a leak in CLOSE_WAIT, empty if there is none.
func (l *leakHistory) suspectCloseWait(description string, now time.Time) {
	if description == "" || l.closeWait == "" {
		l.closeWaitSince = now
	}
	l.closeWait = description
}

// leakRetention is the time for which a leak remains suspected after it was last found: a
// pool close to the warning threshold has a cause in one sample and none in the next.
const leakRetention = 5 * time.Minute

// evaluateSuspected returns the condition after status: True if a network that it lists
// has a leak, or if sockets in CLOSE_WAIT have been one for leakDelay.
func (l *leakHistory) evaluateSuspected(status *v1alpha1.PortPressureStatus) metav1.Condition {
	const kind = v1alpha1.ConditionLeakSuspected
	now := status.ObservedAt.Time
	if why, pool := findLeak(status); why != "" {
		l.cause, l.pool, l.seenAt = why, pool, now
	} else if l.closeWait != "" && now.Sub(l.closeWaitSince) >= leakDelay {
		l.cause, l.pool, l.seenAt = v1alpha1.CauseCloseWaitLeak, l.closeWait, now
	}
	switch {
	case l.cause != "" && now.Sub(l.seenAt) < leakRetention:
		return newCondition(kind, metav1.ConditionTrue, string(l.cause), l.pool)
	case status.UsedPercent == nil:
		return newCondition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNotMeasured, "no network could be measured")
	}
	l.cause, l.pool, l.seenAt = "", "", time.Time{}
	return newCondition(kind, metav1.ConditionFalse, v1alpha1.ReasonNoLeak, "")
}

// findLeak returns the worst leak of status. The cause is empty if there is none.
func findLeak(status *v1alpha1.PortPressureStatus) (why v1alpha1.Cause, pool string) {
	if cause.IsLeak(status.Cause) && status.Tightest != nil && status.Level != v1alpha1.LevelNormal {
		return status.Cause, status.Tightest.Summary
	}
	for _, n := range status.Networks {
		if cause.IsLeak(n.Cause) {
			return n.Cause, n.Network
		}
	}
	return "", ""
}

// resumeLeak returns the leak that an earlier agent has found.
func resumeLeak(before *v1alpha1.PortPressureStatus) leakHistory {
	c := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionLeakSuspected)
	if c == nil || c.Status != metav1.ConditionTrue || before.ObservedAt == nil {
		return leakHistory{}
	}
	return leakHistory{cause: v1alpha1.Cause(c.Reason), pool: c.Message, seenAt: before.ObservedAt.Time}

}
