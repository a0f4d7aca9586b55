package tuning

import (
	"errors"
	"maps"
	"slices"

	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
)

// RestoreAll gives back every original that the journal has, once, whatever any spec asks
// for: of the host, and with Options.Pods of pods. The agent must not run meanwhile; when it does again without a
// word from the API server, it holds nothing. With dry it only says what it would do.
// others is how many networks of pods the journal has still.
func RestoreAll(o Options, dry bool) (list []v1alpha1.SettingStatus, others int, err error) {
	t := New(o)
	defer func() { err = errors.Join(err, t.Close()) }()
	asked := &journal.DesiredState{Settings: []v1alpha1.Setting{}}
	if dry {
		asked = nil
	}
	if err := t.prepareJournal(asked); err != nil {
		return nil, 0, err
	}
	_, facts := t.collectFacts()
	if dry {
		facts.Stop = dryRestore
	}
	list = t.enforceHost([]v1alpha1.Setting{}, facts)
	if t.o.Pods != nil {
		list = append(list, t.o.Pods.RunCycle([]v1alpha1.Setting{}, facts, networkEnforcer{t})...)
	}
	if !dry || t.o.Pods == nil {
		others = len(networkEnforcer{t}.Targets())
	}
	return list, others, nil
}

// ListOriginals are those of the host in the journal: what Restore would give back.
func ListOriginals(o Options) (list []plan.JournalEntry, err error) {
	t := New(o)
	defer func() { err = errors.Join(err, t.Close()) }()
	if err := t.prepareJournal(nil); err != nil {
		return nil, err
	}
	return slices.Collect(maps.Values(t.journal.Entries(plan.Target{}))), nil
}

const dryRestore = "would be restored"
