package plan

import (
	"errors"
	"fmt"
	"slices"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// Apply does the writes, in order, by write, which writes one and reads it back. What
// comes after a write that failed, and needs it, is not written.
func (p *Plan) Apply(write func(Write) (readBack string, err error)) {
	for _, w := range p.Writes {
		if p.fate[w.Key] == nil {
			p.fate[w.Key] = p.apply(w, write)
		}
	}
	p.Forget = slices.DeleteFunc(p.Forget, func(key string) bool { return p.fate[key] != nil })
}

func (p *Plan) apply(w Write, write func(Write) (string, error)) error {
	for _, key := range w.After {
		if p.fate[key] != nil {
			return fmt.Errorf("not written, because %s could not be: %w", key, p.fate[key])
		}
	}
	have, err := write(w)
	if err != nil {
		return err
	}
	p.read(w.Key, have)
	if is, _ := settings.Lookup(p.on, w.Key); !w.done(is, have) {
		return fmt.Errorf("wrote %q, reads %q", settings.Clip(w.Value), settings.Clip(have))
	}
	if m, ok := p.Memory[w.Key]; ok && !w.Original {
		m.Held = true
		p.Memory[w.Key] = m
	}
	return nil
}

// done says whether w is done where have stands.
func (w Write) done(is settings.Setting, have string) bool {
	if _, everybodys := is.Value.(settings.PortList); !everybodys {
		return is.IsSame(have, w.Value)
	}
	was, want, now := parseLists(is, w.Was), parseLists(is, w.Value), parseLists(is, have)
	return want.without(was).without(now).empty() && was.without(want).within(now).empty()
}

// read notes what stands at key now.
func (p *Plan) read(key, have string) {
	for i := range p.items {
		if it := &p.items[i]; it.status.Key == key && it.status.State != v1alpha1.SettingRefused {
			it.status.Current = shown(have)
		}
	}
}

// Fail says that nothing of the plan could be done, because the journal can't be
// written.
func (p *Plan) Fail(err error) {
	for _, w := range p.Writes {
		p.fate[w.Key] = errors.Join(errJournal, err)
	}
	p.Writes, p.Record, p.Forget = nil, nil, nil
}

var errJournal = errors.New("nothing is changed without the journal, which can't be written")

// Statuses are what became of each setting, in the order of the spec; then what was
// given back beside it.
func (p *Plan) Statuses() []v1alpha1.SettingStatus {
	list := make([]v1alpha1.SettingStatus, 0, len(p.items))
	for _, it := range p.items {
		list = append(list, it.outcome(p.fate))
	}
	return list
}

func (it *item) outcome(fate map[string]error) v1alpha1.SettingStatus {
	s := it.status
	for _, key := range it.needs {
		if err := fate[key]; err != nil {
			s.State, s.Message = v1alpha1.SettingFailed, fmt.Sprintf("%s: %s", key, oneLine(err))
			return s
		}
	}
	if len(it.needs) > 0 {
		s.State, s.Message = it.done, it.message
	}
	return s
}

// Quiet says that the plan changes nothing, on no disk and in no kernel.
func (p *Plan) Quiet() bool { return len(p.Record)+len(p.Writes)+len(p.Forget) == 0 }
