package view

import (
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
)

// The widest range that a NodeTuning may set without allowLowPorts.
const (
	widestRangeFirst = 16384
	widestRangeLast  = 65535
)

// The causes (docs/causes.md) that no setting fixes, that more ports mitigate, and that
// reuse of TIME_WAIT ports mitigates.
var (
	leakCauses = []v1alpha1.Cause{
		v1alpha1.CauseCloseWaitLeak, v1alpha1.CauseHalfOpen, v1alpha1.CauseFinWaitOrphans,
	}
	wideRangeCauses = []v1alpha1.Cause{
		v1alpha1.CauseTimeWaitChurn, v1alpha1.CauseReusePossible, v1alpha1.CauseEstablishedPool,
		v1alpha1.CauseIdleConnections, v1alpha1.CauseBoundPorts,
		v1alpha1.CauseListenerInRange, v1alpha1.CauseNarrowRange, v1alpha1.CauseUnknown,
	}
	reuseCauses = []v1alpha1.Cause{v1alpha1.CauseTimeWaitChurn, v1alpha1.CauseReusePossible}
)

// suggestSettings returns the settings that would give p's tightest pool more ports, with
// an estimate, unless p's advice already names them. n is the pool's network, nil if it
// isn't listed. The dry run of a NodeTuning is exact.
func suggestSettings(p *v1alpha1.PortPressure, n *v1alpha1.Network) (suggestions []string) {
	s := &p.Status
	if slices.Contains(leakCauses, s.Cause) {
		return []string{"no setting fixes this; more ports only delay exhaustion"}
	}
	if s.Tightest == nil || s.Platform.OS != "linux" {
		return nil
	}
	if n != nil && slices.Contains(wideRangeCauses, s.Cause) && !strings.Contains(s.Advice, "linux.ephemeralPorts") {
		if more := (widestRangeLast - widestRangeFirst) - (n.Range.Last - n.Range.First); more > 0 {
			suggestions = append(suggestions, fmt.Sprintf(
				"linux.ephemeralPorts {first: %d, last: %d}: up to %d more ports, minus those that must be reserved there",
				widestRangeFirst, widestRangeLast, more))
		}
	}
	if t := s.Tightest; slices.Contains(reuseCauses, s.Cause) && t.States != nil &&
		t.Reusable != nil && *t.Reusable == 0 && !strings.Contains(s.Advice, "linux.timeWait.reuse") {
		suggestions = append(suggestions, fmt.Sprintf("linux.timeWait.reuse All: most of the %d ports in TIME_WAIT, "+
			"one second after their connections end, if both sides use TCP timestamps", t.States.TimeWait))
	}
	if isPod := n != nil && (n.Pod != "" || n.UID != ""); isPod && len(suggestions) > 0 {
		suggestions = append(suggestions, "pods have their own settings: spec.pods of the NodeTuning must select this pod")
	}
	return suggestions
}
