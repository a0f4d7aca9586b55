package tuning

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// transition is the time since when a setting has a state with a desired value.
type transition struct {
	state   v1alpha1.SettingState
	desired string
	at      metav1.Time
}

func newTransition(s v1alpha1.SettingStatus) transition {
	next := transition{state: s.State}
	if s.Desired != nil {
		next.desired = *s.Desired
	}
	return next
}

func (t transition) isSame(o transition) bool { return t.state == o.state && t.desired == o.desired }

// resumeTransitions takes over transition times that a previous agent has reported. They
// are those of the values reported then, so a value that was changed while no agent ran
// has a new time.
func (t *Tuner) resumeTransitions(before []v1alpha1.SettingStatus) {
	for _, s := range before {
		next := newTransition(s)
		if now, known := t.transitions[s.ID]; s.LastTransitionTime != nil && (!known || now.isSame(next)) {
			next.at = *s.LastTransitionTime
			t.transitions[s.ID] = next
		}
	}
}

// announcePending marks new settings as pending, and those that were removed from the
// spec: until the next cycle they must not be reported as applied or restored.
func (t *Tuner) announcePending(settings []v1alpha1.Setting, before []v1alpha1.SettingStatus) {
	list := []v1alpha1.SettingStatus{}
	for _, s := range settings {
		i := slices.IndexFunc(t.statuses, func(have v1alpha1.SettingStatus) bool {
			return have.ID == s.ID && have.Desired != nil && *have.Desired == s.Value && have.State != v1alpha1.SettingReleased
		})
		if i >= 0 {
			list = append(list, t.statuses[i])
			continue
		}
		list = append(list, v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, Scope: string(s.Scope), Desired: &s.Value,
			State: v1alpha1.SettingPending})
	}
	t.statuses = slices.Concat(list, listRemoved(before, settings))
}

// listRemoved returns the statuses of list whose settings have been removed but are not
// restored yet, without a desired value.
func listRemoved(list []v1alpha1.SettingStatus, settings []v1alpha1.Setting) (out []v1alpha1.SettingStatus) {
	for _, s := range list {
		if s.State == v1alpha1.SettingReleased ||
			slices.ContainsFunc(settings, func(w v1alpha1.Setting) bool { return w.ID == s.ID }) {
			continue
		}
		s.Desired, s.State, s.Message = nil, v1alpha1.SettingPending, ""
		out = append(out, s)
	}
	return out
}

// stampTransitions sets the transition times in list, which must not be shared yet.
func (t *Tuner) stampTransitions(list []v1alpha1.SettingStatus) {
	now := metav1.NewTime(t.o.Now()).Rfc3339Copy()
	for i := range list {
		s := &list[i]
		next := newTransition(*s)
		if last, ok := t.transitions[s.ID]; !ok || !last.isSame(next) {
			next.at = now
			t.transitions[s.ID] = next
		}
		at := t.transitions[s.ID].at
		s.LastTransitionTime = &at
	}
}
