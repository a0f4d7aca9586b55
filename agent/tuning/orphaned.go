package tuning

import (
	"slices"

	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
)

// markOrphaned marks the settings whose written value is in effect but not requested: those
// that are not restored, and all if no settings were received.
func markOrphaned(list []v1alpha1.SettingStatus, requested *journal.DesiredState) {
	if requested == nil { // not known yet
		return
	}
	for i := range list {
		s := &list[i]
		isWritten := s.State != v1alpha1.SettingReleased && s.ID != journalID
		s.Orphaned = isWritten && (s.Desired == nil || requested.Settings == nil && s.Original != nil)
	}
}

// listInherited returns the statuses of values that an earlier agent has written, and that
// this agent cannot restore because it is disabled. It has no access to the journal.
func (t *Tuner) listInherited(s *v1alpha1.PortPressureStatus) (list []v1alpha1.SettingStatus) {
	isReset := !t.o.OS.IsPersistent() && s.Platform.BootID != "" && !plan.IsSameBoot(s.Platform.BootID, t.o.Boot)
	if t.o.DisabledReason == "" || isReset {
		return nil
	}
	for _, one := range s.Settings {
		if one.Original != nil && one.State != v1alpha1.SettingReleased {
			list = append(list, one)
		}
	}
	return list
}

// buildDisabledStatuses returns the statuses of an agent that changes nothing: it refuses
// every setting, and reports the values of an earlier agent.
func (t *Tuner) buildDisabledStatuses(settings []v1alpha1.Setting) []v1alpha1.SettingStatus {
	list := RefuseAll(settings, t.o.DisabledReason)
	message := t.o.DisabledReason + "; the value that an earlier agent has written stays until the node restarts; let an agent tune again to restore it"
	if t.o.OS.IsPersistent() {
		message = t.o.DisabledReason + "; the value that an earlier agent has written stays; let an agent tune again to restore it"
	}
	for _, s := range t.inherited {
		s.State, s.Message, s.PodsApplied, s.PodsRefused = v1alpha1.SettingRefused, message, nil, nil
		i := slices.IndexFunc(list, func(o v1alpha1.SettingStatus) bool { return o.ID == s.ID })
		if i >= 0 {
			s.Desired, s.Orphaned = list[i].Desired, false
			list[i] = s
			continue
		}
		s.Desired, s.Orphaned = nil, true
		list = append(list, s)
	}
	return list
}

const hostOnly = "this agent tunes the host's network only (--tune host)"

// listUnreachable returns a status for each of the keys that an earlier agent has written in
// pods and that no setting has, so that it should be restored there.
func listUnreachable(settings []v1alpha1.Setting, keys []string) (list []v1alpha1.SettingStatus) {
	for _, key := range keys {
		if settings == nil || slices.ContainsFunc(settings, func(s v1alpha1.Setting) bool { return s.Key == key }) {
			continue
		}
		list = append(list, v1alpha1.SettingStatus{ID: key + "@restored", Key: key, Scope: string(v1alpha1.ScopePods), State: v1alpha1.SettingRefused,
			Message: hostOnly + "; the value that an earlier agent has written in pods stays until they end; use --tune pods to restore it"})
	}
	return list
}
