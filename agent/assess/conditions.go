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
// at once, and better only when it has been better for a while.

// maxMessage is how long a condition's message is at most, in characters: three of
// them have to fit into a status.
const maxMessage = 400

func newCondition(kind string, is metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: is, Reason: reason, Message: cleanText(message, maxMessage)}
}

// updateConditions brings the conditions up to date with status; the time of a transition moves
// with the condition's status only.
func (c *StatusHistory) updateConditions(status *v1alpha1.PortPressureStatus) {
	was := ""
	if before := meta.FindStatusCondition(c.conditions, v1alpha1.ConditionConntrackAvailable); before != nil {
		was = before.Reason
	}
	for _, now := range []metav1.Condition{
		evaluatePortsAvailable(status),
		c.conntrack.evaluateAvailable(status.Conntrack, was),
		c.leak.evaluateSuspected(status),
	} {
		now.ObservedGeneration, now.LastTransitionTime = status.ObservedGeneration, *status.ObservedAt
		meta.SetStatusCondition(&c.conditions, now)
	}
	status.Conditions = slices.Clone(c.conditions)
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
	return newCondition(kind, available, string(status.Level), fmt.Sprintf("%s of %d ports are used: %s", used, p.Capacity, p.Summary))
}

// conntrackHistory follows the connection tracking table from sample to sample.
type conntrackHistory struct {
	isKnown     bool
	total       uint64 // refusals since boot
	at          time.Time
	recentDrops float64 // those of late: each counts less as it gets older
}

const (
	// nearlyFullPercent is the percentage of the table from which it is nearly full.
	nearlyFullPercent = 90
	// Of recent, where refusals begin to matter, and where they are over. A table
	// in good health loses a packet now and then, when two race for one entry.
	raiseDrops, clearDrops = 10, 1
	// dropDecay is how long it takes until a refusal counts 1/e.
	dropDecay = 5 * time.Minute
)

// countConntrack takes what the kernel has counted by sample. Before and Follow come after it.
func (c *StatusHistory) countConntrack(sample *socket.Sample, f Facts) {
	c.evictions.setTotal(readEvictions(sample, f))
	if total, ok := readDrops(sample, f); ok {
		c.conntrack.addDrops(total, sample.Taken)
	}
}

// addDrops takes the packets that were dropped since boot. A total that fell is one of
// another source, or of a namespace that is new.
func (k *conntrackHistory) addDrops(total uint64, now time.Time) {
	if k.isKnown && !now.Before(k.at) {
		k.recentDrops *= math.Exp(-now.Sub(k.at).Seconds() / dropDecay.Seconds())
		if total > k.total {
			k.recentDrops += float64(total - k.total)
		}
	}
	k.isKnown, k.total, k.at = true, total, now
}

// readDrops is how many packets the node's connection tracking has dropped because
// it could not make an entry: the table was full, or a translated source had no port
// left. insertFailed says less: it also counts races that cost no packet
// (__nf_ct_resolve_clash, net/netfilter/nf_conntrack_core.c).
func readDrops(sample *socket.Sample, f Facts) (total uint64, ok bool) {
	if f.Conntrack != nil && f.Conntrack.Drop != nil {
		return uint64(*f.Conntrack.Drop), true
	}
	if c := findHostConntrack(sample); c != nil {
		return c.Drop, true
	}
	return 0, false
}

// evaluateAvailable is the condition of a table that was seen like this, nil where its size
// is not known. was is the reason so far.
func (k *conntrackHistory) evaluateAvailable(table *v1alpha1.Conntrack, was string) metav1.Condition {
	const kind = v1alpha1.ConditionConntrackAvailable
	if table == nil && !k.isKnown {
		return newCondition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNotMeasured,
			"connection tracking is not in use, or can't be read")
	}
	entries, tight := "how many entries it has can't be read", false
	if table != nil {
		entries = fmt.Sprintf("%d of %d entries", table.Entries, table.Max)
		tight = table.UsedPercent >= nearlyFullPercent || was == v1alpha1.ReasonConntrackNearlyFull && table.UsedPercent >= nearlyFullPercent-5
	}
	switch {
	case k.recentDrops >= raiseDrops || was == v1alpha1.ReasonConntrackInsertFailed && k.recentDrops >= clearDrops:
		return newCondition(kind, metav1.ConditionFalse, v1alpha1.ReasonConntrackInsertFailed,
			fmt.Sprintf("packets were dropped lately that found no place; %s", entries))
	case tight:
		return newCondition(kind, metav1.ConditionFalse, v1alpha1.ReasonConntrackNearlyFull, entries)
	}
	return newCondition(kind, metav1.ConditionTrue, v1alpha1.ReasonConntrackAvailable, entries)
}

// leakHistory follows what looks like a leak.
type leakHistory struct {
	cause  v1alpha1.Cause
	pool   string // its summary, or the network's name
	seenAt time.Time
}

// leakRetention is how long a leak that is not seen any more is still suspected: a pool
// on the line has a cause in one sample and none in the next.
const leakRetention = 5 * time.Minute

// evaluateSuspected is the condition after status: a leak in any network that it lists.
func (l *leakHistory) evaluateSuspected(status *v1alpha1.PortPressureStatus) metav1.Condition {
	const kind = v1alpha1.ConditionLeakSuspected
	now := status.ObservedAt.Time
	if why, pool := findLeak(status); why != "" {
		*l = leakHistory{why, pool, now}
	}
	switch {
	case l.cause != "" && now.Sub(l.seenAt) < leakRetention:
		return newCondition(kind, metav1.ConditionTrue, string(l.cause), l.pool)
	case status.UsedPercent == nil:
		return newCondition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNotMeasured, "no network could be measured")
	}
	*l = leakHistory{}
	return newCondition(kind, metav1.ConditionFalse, v1alpha1.ReasonNoLeak, "")
}

// findLeak is the worst leak of status; its cause is empty where there is none.
func findLeak(status *v1alpha1.PortPressureStatus) (why v1alpha1.Cause, pool string) {
	if cause.IsLeak(status.Cause) && status.Tightest != nil {
		return status.Cause, status.Tightest.Summary
	}
	for _, n := range status.Networks {
		if cause.IsLeak(n.Cause) {
			return n.Cause, n.Network
		}
	}
	return "", ""
}

// resumeLeak goes on with a leak that an agent before this one has seen.
func resumeLeak(before *v1alpha1.PortPressureStatus) leakHistory {
	c := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionLeakSuspected)
	if c == nil || c.Status != metav1.ConditionTrue || before.ObservedAt == nil {
		return leakHistory{}
	}
	return leakHistory{v1alpha1.Cause(c.Reason), c.Message, before.ObservedAt.Time}
}
