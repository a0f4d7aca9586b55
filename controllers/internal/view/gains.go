package view

import (
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
)

// The widest range that a NodeTuning may have without allowLowPorts.
const (
	widestFirst = 16384
	widestLast  = 65535
)

// What is known of causes (docs/causes.md): those that no setting cures, those that
// more ports help against, and those that taking TIME_WAIT over does.
var (
	leaks  = []v1alpha1.Cause{v1alpha1.CauseCloseWaitLeak, v1alpha1.CauseHalfOpen, v1alpha1.CauseFinWaitOrphans}
	crowds = []v1alpha1.Cause{
		v1alpha1.CauseTimeWaitChurn, v1alpha1.CauseReusePossible, v1alpha1.CauseEstablishedPool, v1alpha1.CauseIdleConnections,
		v1alpha1.CauseBoundPorts, v1alpha1.CauseListenerInRange, v1alpha1.CauseNarrowRange, v1alpha1.CauseUnknown,
	}
	churns = []v1alpha1.Cause{v1alpha1.CauseTimeWaitChurn, v1alpha1.CauseReusePossible}
)

// gains is what settings would give to p's tightest pool, a pool of n (nil if it is not
// listed), as far as the figures tell and p's advice does not. The dry run of a
// NodeTuning tells exactly.
func gains(p *v1alpha1.PortPressure, n *v1alpha1.Network) (gains []string) {
	s := &p.Status
	if slices.Contains(leaks, s.Cause) {
		return []string{"no setting cures this: with more ports it only takes longer"}
	}
	if s.Tightest == nil || s.Platform.OS != "linux" {
		return nil
	}
	if n != nil && slices.Contains(crowds, s.Cause) && !strings.Contains(s.Advice, "linux.ephemeralPorts") {
		if more := (widestLast - widestFirst) - (n.Range.Last - n.Range.First); more > 0 {
			gains = append(gains, fmt.Sprintf("linux.ephemeralPorts {first: %d, last: %d}: up to %d more ports, less those that must be reserved there", widestFirst, widestLast, more))
		}
	}
	if t := s.Tightest; slices.Contains(churns, s.Cause) && t.States != nil && t.Reusable != nil && *t.Reusable == 0 && !strings.Contains(s.Advice, "linux.timeWait.reuse") {
		gains = append(gains, fmt.Sprintf("linux.timeWait.reuse All: most of the %d ports in TIME_WAIT, a second after their connections end, where both sides use TCP timestamps", t.States.TimeWait))
	}
	if pod := n != nil && (n.Pod != "" || n.UID != ""); pod && len(gains) > 0 {
		gains = append(gains, "a pod has settings of its own: spec.pods of the NodeTuning must select it")
	}
	return gains
}
