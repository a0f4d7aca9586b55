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
	// maxRepairs within repairWindow, and a key is left to whoever else writes it,
	// for contestedFor: no tug-of-war.
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

// planValue plans that w's value stands. It returns what is to be written for that, nil
// where it stands already or must not be written.
func (b *planBuilder) planValue(w desiredSetting) *Write {
	now := b.in.Current[w.Key].Value
	e, held := b.findEntry(w.Key)
	if w.def.Same(now, w.Value) {
		b.rememberApplied(w.Key, w.Value)
		state, message := b.evaluateEffect(w.def, now, e)
		b.addStatus(w.Setting, state, message)
		if _, old := b.in.Entries[w.Key]; old && !held {
			b.plan.ObsoleteKeys = append(b.plan.ObsoleteKeys, w.Key)
		}
		return nil
	}
	ours := held && e.hasWrittenValue(w.def, now)
	if state, why := b.checkContention(w.Key, w.Value, ours); why != "" {
		b.addStatus(w.Setting, state, why)
		return nil
	}
	next := JournalEntry{Target: b.in.Target, Key: w.Key, Boot: b.in.Boot, Original: now, Wrote: []string{w.Value}, At: b.in.Now, Live: b.findLiveValue(w.def, now, e)}
	if held {
		next.Original = e.restoreValue(w.def, now)
		next.Wrote = append(next.Wrote, e.listPresentValues(w.def, now, w.Value)...)
	}
	if ours {
		next.At = e.At
	}
	b.addEntry(next)
	state, message := b.evaluateEffect(w.def, w.Value, next)
	b.addPendingStatus(w.Setting, state, message, w.Key).status.Original = abbreviateValue(next.Original)
	return &Write{Key: w.Key, Value: w.Value}
}

// addEntry plans the journal's entry of a key that is about to be written, if it is not
// the same already.
func (b *planBuilder) addEntry(e JournalEntry) {
	if old, ok := b.findEntry(e.Key); !ok || old.Original != e.Original || !slices.Equal(old.Wrote, e.Wrote) || e.Live != "" && old.Boot != e.Boot {
		b.plan.NewEntries = append(b.plan.NewEntries, e)
	}
}

// rememberApplied remembers that want stands at key.
func (b *planBuilder) rememberApplied(key, want string) {
	m := b.recallMemory(key, want)
	m.Applied, m.Contested = true, time.Time{}
	b.plan.Memory[key] = m
}

// recallMemory is what is remembered of key while it is wanted to be want.
func (b *planBuilder) recallMemory(key, want string) Memory {
	m := b.in.Memory[key]
	if m.Desired != want || !m.Contested.IsZero() && b.in.Now.Sub(m.Contested) >= contestedPause {
		return Memory{Desired: want}
	}
	m.Repairs = slices.DeleteFunc(slices.Clone(m.Repairs), func(t time.Time) bool { return b.in.Now.Sub(t) >= repairWindow })
	return m
}

// checkContention says why key, where something else than want stands, is not written now;
// empty where it is. ours says that what stands is a value of ours, so that nobody
// else has been there.
func (b *planBuilder) checkContention(key, want string, ours bool) (state v1alpha1.SettingState, why string) {
	if b.in.Lost != "" {
		return v1alpha1.SettingFailed, b.in.Lost
	}
	m := b.recallMemory(key, want)
	switch drifted := m.Applied && !ours && m.Contested.IsZero(); {
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

// guessWriter is who is likely to write key as well.
func (b *planBuilder) guessWriter(key string) string {
	if b.in.resolveOS() == settings.Windows {
		return "a group policy, a script of the node's image or another agent"
	}
	if strings.HasPrefix(key, "net.netfilter.nf_conntrack") {
		return "kube-proxy (conntrack in its configuration)"
	}
	return "systemd-sysctl, TuneD, Cilium or another agent that sets sysctls"
}

// planRestore plans that the original stands again, unless another program has written
// since. It returns what is to be written for that, nil where nothing is.
func (b *planBuilder) planRestore(def settings.Setting, e JournalEntry) *Write {
	now := b.in.Current[e.Key]
	_, held := b.findEntry(e.Key)
	back := def.Settable(e.restoreValue(def, now.Value), now.Value)
	s := &v1alpha1.Setting{ID: e.Key, Key: e.Key, Scope: b.chooseScope(), Value: e.Original}
	switch {
	case !held || now.isAbsent() || now.Err == nil && def.Same(now.Value, e.Original):
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
	case def.Same(now.Value, back):
		b.plan.ObsoleteKeys = append(b.plan.ObsoleteKeys, e.Key)
		b.addReleasedStatus(s, fmt.Sprintf("%s: not restored, because another program changed it to %q", e.Key, settings.Clip(now.Value)))
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

// addReleasedStatus is the status of a key that is given back, with what it becomes once that
// is done. Where the spec still names it (DryRun, Standby), that stays to be said.
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
