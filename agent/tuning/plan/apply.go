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
	for _, w := range p.Writes {
		if p.writeErrors[w.Key] == nil {
			p.writeErrors[w.Key] = p.applyWrite(w, write)
		}
	}
	p.ObsoleteKeys = slices.DeleteFunc(p.ObsoleteKeys, func(key string) bool { return p.writeErrors[key] != nil })
}

func (p *Plan) applyWrite(w Write, write func(Write) (string, error)) error {
	for _, key := range w.After {
		if p.writeErrors[key] != nil {
			return fmt.Errorf("not written, because %s could not be written: %w", key, p.writeErrors[key])
		}
	}
	have, err := write(w)
	if err != nil {
		return err
	}
	p.updateCurrent(w.Key, have)
	if def, _ := settings.Lookup(p.os, w.Key); !w.isDone(def, have) {
		return fmt.Errorf("wrote %q, but read %q", settings.TruncateValue(w.Value), settings.TruncateValue(have))
	}
	if m, ok := p.Memory[w.Key]; ok && !w.Original {
		m.Applied = true
		p.Memory[w.Key] = m
	}
	return nil
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
		list = append(list, it.resolveStatus(p.writeErrors))
	}
	return list
}

func (it *statusDraft) resolveStatus(fate map[string]error) v1alpha1.SettingStatus {
	s := it.status
	for _, key := range it.requires {
		if err := fate[key]; err != nil {
			s.State, s.Message = v1alpha1.SettingFailed, fmt.Sprintf("%s: %s", key, joinLines(err))
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
