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
	// mostRepairs within repairWindow, and a key is left to whoever else writes it,
	// for contestedFor: no tug-of-war.
	mostRepairs  = 2
	repairWindow = time.Hour
	contestedFor = 6 * time.Hour
)

// exact plans a key that has one value.
func (b *builder) exact(is settings.Setting) {
	if w, wanted := b.wants[is.Key]; wanted {
		b.append(b.reach(w))
		return
	}
	if e, ok := b.in.Entries[is.Key]; ok && !b.freeze[is.Key] {
		b.append(b.giveBack(is, e))
	}
}

// reach plans that w's value stands. It returns what is to be written for that, nil
// where it stands already or must not be written.
func (b *builder) reach(w want) *Write {
	now := b.in.Current[w.Key].Value
	e, held := b.entry(w.Key)
	if w.is.Same(now, w.Value) {
		b.stood(w.Key, w.Value)
		state, message := b.works(w.is, now, e)
		b.say(w.Setting, state, message)
		if _, old := b.in.Entries[w.Key]; old && !held {
			b.plan.Forget = append(b.plan.Forget, w.Key)
		}
		return nil
	}
	ours := held && e.wrote(w.is, now)
	if state, why := b.contest(w.Key, w.Value, ours); why != "" {
		b.say(w.Setting, state, why)
		return nil
	}
	next := Entry{Target: b.in.Target, Key: w.Key, Boot: b.in.Boot, Original: now, Wrote: []string{w.Value}, At: b.in.Now, Live: b.live(w.is, now, e)}
	if held {
		next.Original = e.beneath(w.is, now)
		next.Wrote = append(next.Wrote, e.standing(w.is, now, w.Value)...)
	}
	if ours {
		next.At = e.At
	}
	b.record(next)
	state, message := b.works(w.is, w.Value, next)
	b.pending(w.Setting, state, message, w.Key).status.Original = shown(next.Original)
	return &Write{Key: w.Key, Value: w.Value}
}

// record plans the journal's entry of a key that is about to be written, if it is not
// the same already.
func (b *builder) record(e Entry) {
	if old, ok := b.entry(e.Key); !ok || old.Original != e.Original || !slices.Equal(old.Wrote, e.Wrote) || e.Live != "" && old.Boot != e.Boot {
		b.plan.Record = append(b.plan.Record, e)
	}
}

// stood remembers that want stands at key.
func (b *builder) stood(key, want string) {
	m := b.remembered(key, want)
	m.Held, m.Contested = true, time.Time{}
	b.plan.Memory[key] = m
}

// remembered is what is remembered of key while it is wanted to be want.
func (b *builder) remembered(key, want string) Memory {
	m := b.in.Memory[key]
	if m.Want != want || !m.Contested.IsZero() && b.in.Now.Sub(m.Contested) >= contestedFor {
		return Memory{Want: want}
	}
	m.Repairs = slices.DeleteFunc(slices.Clone(m.Repairs), func(t time.Time) bool { return b.in.Now.Sub(t) >= repairWindow })
	return m
}

// contest says why key, where something else than want stands, is not written now;
// empty where it is. ours says that what stands is a value of ours, so that nobody
// else has been there.
func (b *builder) contest(key, want string, ours bool) (state v1alpha1.SettingState, why string) {
	if b.in.Lost != "" {
		return v1alpha1.SettingFailed, b.in.Lost
	}
	m := b.remembered(key, want)
	switch drifted := m.Held && !ours && m.Contested.IsZero(); {
	case drifted && len(m.Repairs) < mostRepairs:
		m.Repairs = append(m.Repairs, b.in.Now)
	case drifted:
		m.Contested = b.in.Now
	}
	b.plan.Memory[key] = m
	if m.Contested.IsZero() {
		return "", ""
	}
	return v1alpha1.SettingContested, fmt.Sprintf("%s: another program, likely %s, writes it again and again: repaired %d times, now left alone for %d hours; one of the two has to stop",
		key, b.writer(key), mostRepairs, int(contestedFor.Hours()))
}

// writer is who is likely to write key as well.
func (b *builder) writer(key string) string {
	if b.in.os() == settings.Windows {
		return "a group policy, a script of the node's image or another agent"
	}
	if strings.HasPrefix(key, "net.netfilter.nf_conntrack") {
		return "kube-proxy (conntrack in its configuration)"
	}
	return "systemd-sysctl, TuneD, Cilium or another agent that sets sysctls"
}

// giveBack plans that the original stands again, unless another program has written
// since. It returns what is to be written for that, nil where nothing is.
func (b *builder) giveBack(is settings.Setting, e Entry) *Write {
	now := b.in.Current[e.Key]
	_, held := b.entry(e.Key)
	back := is.Settable(e.beneath(is, now.Value), now.Value)
	s := &v1alpha1.Setting{ID: e.Key, Key: e.Key, Scope: b.scope(), Value: e.Original}
	switch {
	case !held || now.absent() || now.Err == nil && is.Same(now.Value, e.Original):
		b.plan.Forget = append(b.plan.Forget, e.Key)
		b.released(s, b.later(is, e, now.Value))
		return nil
	case errors.Is(now.Err, ErrForeign):
		b.plan.Forget = append(b.plan.Forget, e.Key)
		b.released(s, fmt.Sprintf("%s: left as another program wrote it: %s", e.Key, oneLine(now.Err)))
		return nil
	case now.Err != nil:
		b.released(s, "").fail(fmt.Sprintf("%s: can't be given back: can't be read: %v", e.Key, now.Err))
		return nil
	case is.Same(now.Value, back):
		b.plan.Forget = append(b.plan.Forget, e.Key)
		b.released(s, fmt.Sprintf("%s: left at %q, which another program wrote", e.Key, settings.Clip(now.Value)))
		return nil
	case now.ReadOnly:
		b.released(s, "").fail(e.Key + ": can't be given back: read-only here")
		return nil
	}
	b.plan.Forget = append(b.plan.Forget, e.Key)
	it := b.released(s, b.later(is, e, back))
	it.needs, it.status.State = []string{e.Key}, v1alpha1.SettingPending
	return &Write{Key: e.Key, Value: back, Original: true}
}

// released is the status of a key that is given back, with what it becomes once that
// is done. Where the spec still names it (DryRun, Standby), that stays to be said.
func (b *builder) released(s *v1alpha1.Setting, message string) *item {
	for i := range b.plan.items {
		if it := &b.plan.items[i]; it.status.Key == s.Key {
			it.done, it.message = it.status.State, it.status.Message
			return it
		}
	}
	it := b.say(s, v1alpha1.SettingReleased, message)
	it.status.Desired, it.done, it.message = nil, v1alpha1.SettingReleased, message
	return it
}

func (it *item) fail(message string) {
	it.status.State, it.status.Message, it.needs = v1alpha1.SettingFailed, message, nil
}
