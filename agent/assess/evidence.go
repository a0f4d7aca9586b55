package assess

import (
	"fmt"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/text"
)

// DefaultNodePorts is Kubernetes' default range of NodePorts (kube-apiserver's
// --service-node-port-range).
var DefaultNodePorts = ports.Range{First: 30000, Last: 32767}

// newNetworkStates returns the networks of s that can be measured.
func newNetworkStates(s *socket.Sample, f Facts, name func(*socket.Network) string) []cause.NetworkState {
	var list []cause.NetworkState
	refused := countRefused(s)
	for i := range s.Networks {
		n := &s.Networks[i]
		if n.UnobservedReason() != "" {
			continue
		}
		state := cause.NetworkState{Network: n, Name: name(n), Recent: f.Prior.Recent[n.ID()]}
		state.Recent.Refused = refused[n.ID()]
		list = append(list, state)
	}
	return list
}

// refusalAge is the age up to which a refused call is recent.
const refusalAge = 5 * time.Minute

// countRefused returns the number of calls that failed recently with EADDRNOTAVAIL to a
// destination with free ports, by network.
func countRefused(s *socket.Sample) map[socket.NetworkID]uint64 {
	counts := map[socket.NetworkID]uint64{}
	for _, f := range s.Failures {
		isAddress := f.Reason == "" || f.Reason == v1alpha1.FailureAddressNotAvailable
		if isAddress && s.Taken.Sub(f.LastAt) < refusalAge && hasFreePorts(s, f) {
			counts[f.Network()] += f.Count
		}
	}
	return counts
}

// roomPercent is the usage of a pool below which a call that fails did not fail for lack of a
// port, not even a moment ago.
const roomPercent = 25

// hasFreePorts reports whether every pool that the failed call may have used has free ports.
func hasFreePorts(s *socket.Sample, f socket.Failure) bool {
	for i := range s.Networks {
		n := &s.Networks[i]
		if n.ID() != f.Network() {
			continue
		}
		for p := range n.Pools() {
			if p.UsedPercent() >= roomPercent {
				return false
			}
		}
		return n.Detailed && n.UnobservedReason() == ""
	}
	return false // the network is gone
}

// findCollisions returns the networks whose ephemeral range covers ports of others, the host
// network first.
func findCollisions(networks []cause.NetworkState, f Facts) []cause.Collision {
	nodePorts := f.NodePorts
	if nodePorts == (ports.Range{}) {
		nodePorts = DefaultNodePorts
	}
	var list []cause.Collision
	for _, n := range networks {
		c, ok := cause.FindCollision(n, nodePorts, f.System)
		switch {
		case !ok:
		case n.Owner.Kind == socket.OwnerHost:
			list = slices.Insert(list, 0, c)
		default:
			list = append(list, c)
		}
	}
	return list
}

// maxCollisionMessage is the maximum length of the message of PortRangeCollision, which has the
// ports to reserve, in characters.
const maxCollisionMessage = 500

// newCollisionCondition returns the condition for at least one collision.
func newCollisionCondition(list []cause.Collision, at metav1.Time) metav1.Condition {
	message := settings.FormatReservation(list[0].Describe(), list[0].Reservation())
	if more := len(list) - 1; more > 0 {
		message = text.FormatPlural(more, "more network") + "; " + message
	}
	return metav1.Condition{
		Type: v1alpha1.ConditionPortRangeCollision, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRangeCoversPorts,
		Message: cleanText(message, maxCollisionMessage), LastTransitionTime: at,
	}
}

// collisionRetention is the time for which PortRangeCollision remains True after the last
// collision: short-lived listeners come and go.
const collisionRetention = 30 * time.Minute

// collisionHistory is the last collision that was found.
type collisionHistory struct {
	message string
	seenAt  time.Time
}

// evaluateCollision returns the condition after status, of which before was the last. A node
// that never had a collision has no condition, which saves space in its status.
func (c *collisionHistory) evaluateCollision(status *v1alpha1.PortPressureStatus, before *metav1.Condition) (now metav1.Condition, ok bool) {
	const kind = v1alpha1.ConditionPortRangeCollision
	at := status.ObservedAt.Time
	if found := meta.FindStatusCondition(status.Conditions, kind); found != nil {
		*c = collisionHistory{found.Message, at}
	}
	switch {
	case c.message != "" && at.Sub(c.seenAt) < collisionRetention:
		return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRangeCoversPorts, Message: c.message}, true
	case before == nil:
		return metav1.Condition{}, false
	case status.UsedPercent == nil:
		return newCondition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNotMeasured, "no network could be measured"), true
	}
	*c = collisionHistory{}
	return newCondition(kind, metav1.ConditionFalse, v1alpha1.ReasonNoCollision, ""), true
}

// resumeCollision returns the collision that an earlier agent has found.
func resumeCollision(before *v1alpha1.PortPressureStatus) collisionHistory {
	c := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionPortRangeCollision)
	if c == nil || c.Status != metav1.ConditionTrue || before.ObservedAt == nil {
		return collisionHistory{}
	}
	return collisionHistory{message: c.Message, seenAt: before.ObservedAt.Time}
}

// recentCounter counts recent events from a kernel's counter. Each event's weight decays with
// its age.
type recentCounter struct {
	isKnown bool // total and at are set
	total   uint64
	at      time.Time
	recent  float64
}

// recentDecay is the time in which the weight of an event falls to 1/e.
const recentDecay = 5 * time.Minute

// addTotal adds the events up to now. A total that decreases comes from another source.
func (c *recentCounter) addTotal(total uint64, now time.Time) {
	if c.isKnown && !now.Before(c.at) {
		c.recent *= math.Exp(-now.Sub(c.at).Seconds() / recentDecay.Seconds())
		if total > c.total {
			c.recent += float64(total - c.total)
		}
	}
	c.isKnown, c.total, c.at = true, total, now
}

func (c *recentCounter) count() uint64 { return uint64(math.Round(c.recent)) }

// CounterHistory counts recent events from the kernel's counters of successive samples. The
// zero value is the state before the first one.
type CounterHistory struct {
	networks   map[socket.NetworkID]*networkCounters
	neighbours [2]recentCounter
}

type networkCounters struct{ listen, timeWait recentCounter }

// Add adds a sample, and sets the recent events in f.Prior.
func (h *CounterHistory) Add(s *socket.Sample, f *Facts) {
	known := h.networks
	h.networks = make(map[socket.NetworkID]*networkCounters, len(s.Networks))
	f.Prior.Recent = map[socket.NetworkID]cause.RecentCounts{}
	for i := range s.Networks {
		n := &s.Networks[i]
		counters := selectCounters(n, f)
		if counters == nil {
			continue
		}
		key := n.ID()
		c := known[key]
		if c == nil {
			c = &networkCounters{}
		}
		c.listen.addTotal(counters.ListenOverflows, s.Taken)
		c.timeWait.addTotal(counters.TimeWaitOverflow, s.Taken)
		h.networks[key] = c
		if r := (cause.RecentCounts{ListenOverflows: c.listen.count(), TimeWaitOverflows: c.timeWait.count()}); r != (cause.RecentCounts{}) {
			f.Prior.Recent[key] = r
		}
	}
	for i, table := range f.TCP.Neighbours {
		if table != nil {
			h.neighbours[i].addTotal(table.Overflows, s.Taken)
			f.Prior.NeighbourOverflows[i] = h.neighbours[i].count()
		}
	}
}

// selectCounters returns the counters of n, for the host network those of procfs if the reader
// has none.
func selectCounters(n *socket.Network, f *Facts) *socket.Counters {
	if n.Counters == nil && n.Owner.Kind == socket.OwnerHost && f.TCP.ListenOverflows != nil && f.TCP.TimeWaitOverflow != nil {
		return &socket.Counters{ListenOverflows: *f.TCP.ListenOverflows, TimeWaitOverflow: *f.TCP.TimeWaitOverflow}
	}
	return n.Counters
}

// NeighbourTable is a table of link-layer addresses. Overflows are the failed attempts to add
// an entry since boot.
type NeighbourTable struct{ Entries, Max, Overflows uint64 }

// newNeighbourTables returns the tables; one that could not be read has no limit.
func newNeighbourTables(f Facts) (out [2]cause.NeighbourTable) {
	for i, table := range f.TCP.Neighbours {
		if table != nil {
			out[i] = cause.NeighbourTable{Usage: cause.Usage{Used: table.Entries, Max: table.Max}, Overflows: f.Prior.NeighbourOverflows[i]}
		}
	}
	return out
}

// formatLeak returns the sockets of the largest leak in CLOSE_WAIT, empty if there is none.
func formatLeak(networks []cause.NetworkState) string {
	n, g := cause.FindCloseWaitLeak(networks)
	if n == nil {
		return ""
	}
	message := fmt.Sprintf("%s: %d sockets in CLOSE_WAIT", n.Name, g.Sockets)
	if g.Process.Name != "" {
		message += fmt.Sprintf(" of %s (pid %d)", g.Process.Name, g.Process.PID)
	}
	if g.Listener != 0 {
		message += fmt.Sprintf(", clients of port %d", g.Listener)
	}
	return message
}
