package plan

import (
	"slices"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

const (
	// activationWindow is the time for which activations count, and the longest
	// cool-down.
	activationWindow = 24 * time.Hour
	// minCoolDown is the least cool-down after the second activation.
	minCoolDown = time.Minute
)

// isNeeded reports whether the node is under the pressure that s waits for, or was
// within the cool-down. Before the first measurement, a setting that is enforced stays.
func (b *planBuilder) isNeeded(s *v1alpha1.Setting) bool {
	switch _, inJournal := b.findEntry(s.Key); b.in.Level {
	case v1alpha1.LevelNormal:
		return inJournal && b.in.NormalFor < b.computeCoolDown(s)
	case "":
		return inJournal
	}
	return true
}

// computeCoolDown returns the time that the level must be Normal before s is restored:
// the configured one, and twice as long after each further activation within a day, so
// that a setting which removes the pressure that it is enforced for does not oscillate.
func (b *planBuilder) computeCoolDown(s *v1alpha1.Setting) time.Duration {
	coolDown := time.Duration(s.CoolDownSeconds) * time.Second
	if n := len(b.listActivations(s.Key)); n > 1 {
		coolDown = max(coolDown, min(max(coolDown, minCoolDown)<<min(n-1, 11), activationWindow))
	}
	return coolDown
}

// listActivations returns the recent activations of key.
func (b *planBuilder) listActivations(key string) []time.Time {
	return slices.DeleteFunc(slices.Clone(b.findMemory(key).Activations), func(t time.Time) bool {
		return b.in.Now.Sub(t).Abs() >= activationWindow
	})
}
