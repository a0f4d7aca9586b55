package plan

import (
	"errors"
	"fmt"
	"slices"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// ApplyWrites calls write, which writes a value and reads it back, for each write in
// order. A write that depends on a failed one is skipped.
func (p *Plan) ApplyWrites(write func(Write) (readBack string, err error)) {
	readBack := map[string]string{}
	for _, w := range p.Writes {
		if p.writeErrors[w.Key] == nil {
			readBack[w.Key], p.writeErrors[w.Key] = p.applyWrite(w, write)
			p.rememberResult(w)
		}
	}
	p.ObsoleteKeys = slices.DeleteFunc(p.ObsoleteKeys, func(key string) bool { return p.writeErrors[key] != nil })
	for key, err := range p.writeErrors {
		if err == nil {
			p.confirmEntry(key, readBack[key])
		}
	}
}

func (p *Plan) applyWrite(w Write, write func(Write) (string, error)) (readBack string, err error) {
	for _, key := range w.After {
		if p.writeErrors[key] != nil {
			return "", fmt.Errorf("not written, because %s could not be written: %w", key, p.writeErrors[key])
		}
	}
	have, err := write(w)
	if err != nil {
		return "", err
	}
	p.updateCurrent(w.Key, have)
	def, _ := p.in.lookupSetting(w.Key)
	if w.isDone(def, have) || p.isRounded(def, w, have, write) {
		return have, nil
	}
	return "", fmt.Errorf("wrote %q, but read %q", settings.TruncateValue(w.Value), settings.TruncateValue(have))
}

// rememberResult records in Memory whether w succeeded.
func (p *Plan) rememberResult(w Write) {
	m, ok := p.Memory[w.Key]
	err := p.writeErrors[w.Key]
	switch {
	case !ok || w.Original || errors.Is(err, ErrChanged):
		return
	case err != nil:
		m.Failures, m.FailedAt, m.Failure = m.Failures+1, p.in.Now, joinLines(err)
	default:
		m.Applied, m.Failures = true, 0
	}
	p.Memory[w.Key] = m
}

// findPlannedEntry returns the entry of key as the journal has it when the writes begin.
func (p *Plan) findPlannedEntry(key string) (JournalEntry, bool) {
	for _, e := range p.NewEntries {
		if e.Key == key {
			return e, true
		}
	}
	e, ok := p.in.Entries[key]
	return e, ok
}

// confirmEntry records that the value of key, which was written, was read back.
func (p *Plan) confirmEntry(key, readBack string) {
	e, ok := p.findPlannedEntry(key)
	if !ok || slices.Contains(p.ObsoleteKeys, key) {
		return
	}
	def, _ := p.in.lookupSetting(key)
	if next := e.confirm(def, readBack, p.Memory[key]); !next.equals(&e) {
		p.ConfirmedEntries = append(p.ConfirmedEntries, next)
	}
}

// IsOutdated reports whether the key has another value, now, than the one that w is based
// on.
func (w Write) IsOutdated(os settings.OS, now string) bool {
	def, _ := Facts{OS: os}.lookupSetting(w.Key)
	return !def.IsSame(now, w.Previous)
}

// isDone reports whether w has taken effect when the key reads as have.
func (w Write) isDone(def settings.Setting, have string) bool {
	if _, everybodys := def.Value.(settings.PortList); !everybodys {
		return def.IsSame(have, w.Value)
	}
	was, want, now := parsePortLists(def, w.Previous), parsePortLists(def, w.Value), parsePortLists(def, have)
	return want.subtract(was).subtract(now).isEmpty() && was.subtract(want).intersect(now).isEmpty()
}

// updateCurrent sets the current value of key in the statuses.
func (p *Plan) updateCurrent(key, have string) {
	for i := range p.drafts {
		if it := &p.drafts[i]; it.status.Key == key && it.status.State != v1alpha1.SettingRefused {
			it.status.Current = abbreviateValue(have)
		}
	}
}

// FailWrites marks every write as failed because the journal cannot be written.
func (p *Plan) FailWrites(err error) {
	for _, w := range p.Writes {
		p.writeErrors[w.Key] = errors.Join(errJournal, err)
	}
	p.Writes, p.NewEntries, p.ObsoleteKeys = nil, nil, nil
}

var errJournal = errors.New("no setting is changed without the journal, which cannot be written")

// BuildStatuses returns the status of each setting in the order of the spec, followed
// by settings that are restored and not in the spec.
func (p *Plan) BuildStatuses() []v1alpha1.SettingStatus {
	list := make([]v1alpha1.SettingStatus, 0, len(p.drafts))
	for _, it := range p.drafts {
		list = append(list, it.resolveStatus(p.writeErrors, p.in.Target.IsHost()))
	}
	return list
}

// ErrChanged is the error of a write whose key has another value than Write.Previous.
var ErrChanged = errors.New("another program changed it at the same moment; retrying")

// ErrRejected is the error of a write whose value the kernel does not accept in this
// network.
var ErrRejected = errors.New("the kernel does not accept the value here")

// classifyWriteError returns the state of a setting that could not be written. A pod's
// other settings can make the kernel reject a value, which is no failure of the node.
func classifyWriteError(err error, isHost bool) v1alpha1.SettingState {
	switch {
	case errors.Is(err, ErrChanged):
		return v1alpha1.SettingPending
	case errors.Is(err, ErrRejected) && !isHost:
		return v1alpha1.SettingRefused
	}
	return v1alpha1.SettingFailed
}

// HasChanged reports whether a write was skipped because of ErrChanged, so that a new
// plan is needed.
func (p *Plan) HasChanged() bool {
	for _, err := range p.writeErrors {
		if errors.Is(err, ErrChanged) {
			return true
		}
	}
	return false
}

func (it *statusDraft) resolveStatus(fate map[string]error, isHost bool) v1alpha1.SettingStatus {
	s := it.status
	for _, key := range it.requires {
		if err := fate[key]; err != nil {
			s.State, s.Message = classifyWriteError(err, isHost), fmt.Sprintf("%s: %s", key, joinLines(err))
			return s
		}
	}
	if len(it.requires) > 0 {
		s.State, s.Message = it.stateWhenDone, it.messageWhenDone
	}
	return s
}

// IsEmpty reports whether the plan changes neither the journal nor a setting.
func (p *Plan) IsEmpty() bool { return len(p.NewEntries)+len(p.Writes)+len(p.ObsoleteKeys) == 0 }
