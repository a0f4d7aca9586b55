package plan

import (
	"errors"
	"fmt"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// planScalar plans a key that has one value.
func (b *planBuilder) planScalar(def settings.Setting) {
	if w, wanted := b.desired[def.Key]; wanted {
		b.addWrites(b.planValue(w))
		return
	}
	if e, ok := b.in.Entries[def.Key]; ok && !b.keepKeys[def.Key] {
		b.addWrites(b.planRestore(def, e))
	}
}

// planValue plans to set w and returns the write, or nil if the value is already set or
// must not be written.
func (b *planBuilder) planValue(w desiredSetting) *Write {
	now := b.in.Current[w.Key].Value
	e, inJournal := b.findEntry(w.Key)
	if w.def.IsSame(now, w.Value) || inJournal && e.isRoundedTo(w.def, w.Value, now) {
		b.keepValue(w, now)
		return nil
	}
	isOurs := inJournal && e.hasWrittenValue(w.def, now)
	if state, why := b.findObstacle(w, isOurs); why != "" {
		b.addStatus(w.Setting, state, why)
		return nil
	}
	next := JournalEntry{Target: b.in.Target, Key: w.Key, Boot: b.in.Boot, Original: now,
		Wrote: []string{w.Value}, At: b.in.Now, Live: b.findLiveValue(w.def, now, e), Memory: b.rememberActivation(w)}
	if inJournal {
		next.Original = e.restoreValue(w.def, now)
		next.Wrote = append(next.Wrote, e.listPresentValues(w.def, now, w.Value)...)
		if !isOurs && !e.Confirmed && canRound(w.def) && !w.def.IsSame(now, e.Original) {
			next.Original, next.Found = e.Original, now // which of the two is known after the write
		}
	}
	if isOurs {
		next.At = e.At
	}
	b.addEntry(next)
	state, message := b.evaluateEffect(w.def, w.Value, next)
	b.addPendingStatus(w.Setting, state, message, w.Key).status.Original = abbreviateValue(next.Original)
	return &Write{Key: w.Key, Value: w.Value, Previous: now}
}

// findObstacle returns why w, which is not set, is not written now, or "".
func (b *planBuilder) findObstacle(w desiredSetting, isOurs bool) (state v1alpha1.SettingState, why string) {
	if why := b.explainPodChoice(w); why != "" {
		return v1alpha1.SettingRefused, why
	}
	if m := b.findMemory(w.Key); m.Desired == w.Value && m.Failures > 0 &&
		b.in.Now.Sub(m.FailedAt).Abs() < min(minRetryDelay<<min(m.Failures, 7), maxRetryDelay) {
		b.plan.Memory[w.Key] = m
		return v1alpha1.SettingFailed, w.Key + ": " + m.Failure
	}
	return b.checkContention(w.Key, w.Value, isOurs)
}

// explainPodChoice returns why w is left to the pod, which has set the key itself, or "".
func (b *planBuilder) explainPodChoice(w desiredSetting) string {
	now := b.in.Current[w.Key].Value
	e, inJournal := b.findEntry(w.Key)
	m := b.findMemory(w.Key)
	isChanged := m.Applied && (!inJournal || !e.hasWrittenValue(w.def, now)) && b.in.Pod.HasSetup
	isPreset := !inJournal && b.in.Pod.IsPrivileged && w.def.Default != "" && !w.def.IsSame(now, w.def.Default)
	if b.in.Target.IsHost() || !isChanged && !isPreset && !m.Overridden {
		return ""
	}
	m.Overridden = m.Overridden || isChanged
	b.plan.Memory[w.Key] = m
	if e.Memory = m; inJournal {
		b.addEntry(e)
	}
	return fmt.Sprintf("%s: the pod has set it to %q itself, which takes precedence", w.Key, settings.TruncateValue(now))
}

// keepValue plans no write of w, which is set.
func (b *planBuilder) keepValue(w desiredSetting, now string) {
	b.rememberApplied(w.Key, w.Value)
	e, inJournal := b.findEntry(w.Key)
	state, message := b.evaluateEffect(w.def, now, e)
	if inJournal && e.isRoundedTo(w.def, w.Value, now) {
		message = explainRounding(w.def, w.Value, now)
	}
	b.addStatus(w.Setting, state, message)
	_, isOld := b.in.Entries[w.Key]
	switch {
	case isOld && !inJournal:
		b.plan.ObsoleteKeys = append(b.plan.ObsoleteKeys, w.Key)
	case inJournal && w.def.IsSame(e.Wrote[0], w.Value):
		b.addEntry(e.confirm(w.def, now, b.plan.Memory[w.Key]))
	}
}

// addEntry adds the journal entry of a key that is about to be written, unless the
// journal already has it.
func (b *planBuilder) addEntry(e JournalEntry) {
	old, ok := b.findEntry(e.Key)
	if old.Confirmed && !e.Confirmed {
		old.Confirmed = false // the same value is written again
	}
	if !ok || !old.equals(&e) || e.Live != "" && old.Boot != e.Boot {
		b.plan.NewEntries = append(b.plan.NewEntries, e)
	}
}

// planRestore plans to restore the original, unless another program has changed the
// value. It returns the write, or nil if none is needed.
func (b *planBuilder) planRestore(def settings.Setting, e JournalEntry) *Write {
	now := b.in.Current[e.Key]
	_, inJournal := b.findEntry(e.Key)
	back := def.AdjustToWritable(e.restoreValue(def, now.Value), now.Value)
	s := &v1alpha1.Setting{ID: e.Key, Key: e.Key, Scope: b.chooseScope(), Value: e.Original}
	switch {
	case !inJournal || now.isAbsent() || now.Err == nil && def.IsSame(now.Value, e.Original):
		b.plan.ObsoleteKeys = append(b.plan.ObsoleteKeys, e.Key)
		b.addReleasedStatus(s, b.explainDelay(def, e, now.Value))
		return nil
	case errors.Is(now.Err, ErrForeign):
		b.plan.ObsoleteKeys = append(b.plan.ObsoleteKeys, e.Key)
		b.addReleasedStatus(s, fmt.Sprintf("%s: not restored, because another program changed it: %s", e.Key, joinLines(now.Err)))
		return nil
	case now.Err != nil:
		b.addReleasedStatus(s, "").markFailed(fmt.Sprintf("%s: cannot be restored, because it cannot be read: %v", e.Key, now.Err))
		return nil
	case def.IsSame(now.Value, back):
		b.plan.ObsoleteKeys = append(b.plan.ObsoleteKeys, e.Key)
		b.addReleasedStatus(s, fmt.Sprintf("%s: not restored, because another program changed it to %q", e.Key, settings.TruncateValue(now.Value)))
		return nil
	case now.ReadOnly:
		b.addReleasedStatus(s, "").markFailed(e.Key + ": cannot be restored, because it is read-only here")
		return nil
	}
	if err := def.CheckOriginal(back); err != nil { // another program may have changed the journal
		b.addReleasedStatus(s, "").markFailed(fmt.Sprintf("cannot be restored, because the journal is wrong; write the original yourself. %v", err))
		return nil
	}
	b.plan.ObsoleteKeys = append(b.plan.ObsoleteKeys, e.Key)
	it := b.addReleasedStatus(s, b.explainDelay(def, e, back))
	it.requires, it.status.State = []string{e.Key}, v1alpha1.SettingPending
	return &Write{Key: e.Key, Value: back, Previous: now.Value, Original: true}
}

// addReleasedStatus adds the status of a key that is being restored. If the spec still
// has the key (DryRun, Standby), it keeps the state from the spec.
func (b *planBuilder) addReleasedStatus(s *v1alpha1.Setting, message string) *statusDraft {
	for i := range b.plan.drafts {
		if it := &b.plan.drafts[i]; it.status.Key == s.Key {
			it.stateWhenDone, it.messageWhenDone = it.status.State, it.status.Message
			return it
		}
	}
	it := b.addStatus(s, v1alpha1.SettingReleased, message)
	it.status.Desired, it.stateWhenDone, it.messageWhenDone = nil, v1alpha1.SettingReleased, message
	return it
}

func (it *statusDraft) markFailed(message string) {
	it.status.State, it.status.Message, it.requires = v1alpha1.SettingFailed, message, nil
}
