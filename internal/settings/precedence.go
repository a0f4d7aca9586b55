package settings

import (
	"cmp"

	"portreeve.io/portreeve/api/v1alpha1"
)

// CompareTunings orders NodeTunings by precedence: higher priority first, then by name.
func CompareTunings(a, b *v1alpha1.NodeTuning) int {
	return cmp.Or(cmp.Compare(b.Spec.Priority, a.Spec.Priority), cmp.Compare(a.Name, b.Name))
}

// SelectCandidate returns the setting to enforce among candidates for the same key,
// which must be in order of precedence: the first one in mode Enforce or, if all are
// dry runs, the first one. rival is the first candidate of equal precedence that
// conflicts with it, nil if there is none. With a rival, neither is enforced.
func SelectCandidate(candidates []*v1alpha1.Setting) (selected, rival *v1alpha1.Setting) {
	selected = candidates[0]
	for _, c := range candidates {
		if !isDryRun(c) {
			selected = c
			break
		}
	}
	for _, c := range candidates {
		if Conflicts(selected, c) && HasEqualPrecedence(selected, c) {
			return selected, c
		}
	}
	return selected, nil
}

// Conflicts reports whether a and b, which have the same key, come from different
// NodeTunings and set different values. Dry-run settings never conflict with enforced
// ones.
func Conflicts(a, b *v1alpha1.Setting) bool {
	return a.From.Name != b.From.Name && isDryRun(a) == isDryRun(b) && a.Value != b.Value
}

// HasEqualPrecedence reports whether neither of a and b, which have the same key, takes
// precedence over the other.
func HasEqualPrecedence(a, b *v1alpha1.Setting) bool {
	return a.From.Priority == b.From.Priority && isDryRun(a) == isDryRun(b)
}

func isDryRun(s *v1alpha1.Setting) bool { return s.Mode == v1alpha1.ModeDryRun }

// HasSameEffect reports whether a and b, which have the same ID, do the same on a node,
// regardless of the NodeTunings that they come from.
func HasSameEffect(a, b *v1alpha1.Setting) bool {
	return a.Value == b.Value && isDryRun(a) == isDryRun(b) && a.Activation == b.Activation && a.CoolDownSeconds == b.CoolDownSeconds
}
