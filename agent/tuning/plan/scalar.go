package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

const (
	// After maxRepairs within repairWindow, a key is left to the other program for
	// contestedPause.
	maxRepairs     = 2
	repairWindow   = time.Hour
	contestedPause = 6 * time.Hour
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
	if w.def.IsSame(now, w.Value) {
		b.rememberApplied(w.Key, w.Value)
		state, message := b.evaluateEffect(w.def, now, e)
		b.addStatus(w.Setting, state, message)
		if _, old := b.in.Entries[w.Key]; old && !inJournal {
			b.plan.ObsoleteKeys = append(b.plan.ObsoleteKeys, w.Key)
		}
		return nil
	}
	isOurs := inJournal && e.hasWrittenValue(w.def, now)
	if state, why := b.checkContention(w.Key, w.Value, isOurs); why != "" {
		b.addStatus(w.Setting, state, why)
		return nil
	}
	next := JournalEntry{Target: b.in.Target, Key: w.Key, Boot: b.in.Boot, Original: now,
		Wrote: []string{w.Value}, At: b.in.Now, Live: b.findLiveValue(w.def, now, e)}
	if inJournal {
		next.Original = e.restoreValue(w.def, now)
		next.Wrote = append(next.Wrote, e.listPresentValues(w.def, now, w.Value)...)
	}
	if isOurs {
		next.At = e.At
	}
	b.addEntry(next)
	state, message := b.evaluateEffect(w.def, w.Value, next)
	b.addPendingStatus(w.Setting, state, message, w.Key).status.Original = abbreviateValue(next.Original)
	return &Write{Key: w.Key, Value: w.Value}
}

// addEntry adds the journal entry of a key that is about to be written, unless the
// journal already has it.
func (b *planBuilder) addEntry(e JournalEntry) {
	old, ok := b.findEntry(e.Key)
	if !ok || old.Original != e.Original || !slices.Equal(old.Wrote, e.Wrote) || e.Live != "" && old.Boot != e.Boot {
		b.plan.NewEntries = append(b.plan.NewEntries, e)
	}
}

// rememberApplied records that key has the value desired.
func (b *planBuilder) rememberApplied(key, desired string) {
	m := b.recallMemory(key, desired)
	m.Applied, m.Contested = true, time.Time{}
	b.plan.Memory[key] = m
}

// recallMemory returns the Memory of key if it refers to the value desired.
func (b *planBuilder) recallMemory(key, desired string) Memory {
	m := b.in.Memory[key]
	if m.Desired != desired || !m.Contested.IsZero() && b.in.Now.Sub(m.Contested) >= contestedPause {
		return Memory{Desired: desired}
	}
	m.Repairs = slices.DeleteFunc(slices.Clone(m.Repairs), func(t time.Time) bool {
		return b.in.Now.Sub(t) >= repairWindow
	})
	return m
}

// checkContention returns why key, which has another value than desired, is not written
// now, or "". isOurs means that Portreeve wrote the current value, so that no other
// program is involved.
func (b *planBuilder) checkContention(key, desired string, isOurs bool) (state v1alpha1.SettingState, why string) {
	if b.in.Lost != "" {
		return v1alpha1.SettingFailed, b.in.Lost
	}
	m := b.recallMemory(key, desired)
	switch drifted := m.Applied && !isOurs && m.Contested.IsZero(); {
	case drifted && len(m.Repairs) < maxRepairs:
		m.Repairs = append(m.Repairs, b.in.Now)
	case drifted:
		m.Contested = b.in.Now
	}
	b.plan.Memory[key] = m
	if m.Contested.IsZero() {
		return "", ""
	}
	return v1alpha1.SettingContested, fmt.Sprintf("%s: another program, probably %s, keeps changing it: Portreeve has rewritten it %d times, and now leaves it alone for %d hours; remove the setting from one of the two",
		key, b.guessWriter(key), maxRepairs, int(contestedPause.Hours()))
}

// guessWriter returns the programs that probably write key.
func (b *planBuilder) guessWriter(key string) string {
	if b.in.resolveOS() == settings.Windows {
		return "a group policy, a script of the node's image or another agent"
	}
	if strings.HasPrefix(key, "net.netfilter.nf_conntrack") {
		return "kube-proxy (conntrack in its configuration)"
	}
	return "systemd-sysctl, TuneD, Cilium or another agent that sets sysctls"
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
	b.plan.ObsoleteKeys = append(b.plan.ObsoleteKeys, e.Key)
	it := b.addReleasedStatus(s, b.explainDelay(def, e, back))
	it.requires, it.status.State = []string{e.Key}, v1alpha1.SettingPending
	return &Write{Key: e.Key, Value: back, Original: true}
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
