package advise

import (
	"slices"

	"portreeve.io/portreeve/api/v1alpha1"
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

// IsLeak reports whether more ports only delay exhaustion by c.
func IsLeak(c v1alpha1.Cause) bool { return slices.Contains(leakCauses, c) }

// NeedsPorts reports whether more ports mitigate c.
func NeedsPorts(c v1alpha1.Cause) bool { return slices.Contains(wideRangeCauses, c) }

// NeedsReuse reports whether reuse of ports in TIME_WAIT mitigates c, and s, a pool with
// that cause, does not reuse any yet.
func NeedsReuse(c v1alpha1.Cause, s *v1alpha1.Pool) bool {
	return slices.Contains(reuseCauses, c) && s != nil && s.States != nil && s.Reusable != nil && *s.Reusable == 0
}
