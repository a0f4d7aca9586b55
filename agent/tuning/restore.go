package tuning

import (
	"errors"
	"maps"
	"slices"

	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
)

// RestoreAll restores every original in the journal once, regardless of the spec: on
// the host and, with Options.Pods, in pods. The agent must not run meanwhile. After its
// next start it enforces nothing until it hears from the API server. If dry is set,
// RestoreAll only reports what it would do. others is the number of pod networks left
// in the journal.
func RestoreAll(o Options, dry bool) (list []v1alpha1.SettingStatus, others int, err error) {
	t := New(o)
	defer func() { err = errors.Join(err, t.Close()) }()
	requested := &journal.DesiredState{Settings: []v1alpha1.Setting{}}
	if dry {
		requested = nil
	}
	if err := t.prepareJournal(requested); err != nil {
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

// ListOriginals returns the host's entries in the journal, which RestoreAll would
// restore.
func ListOriginals(o Options) (list []plan.JournalEntry, err error) {
	t := New(o)
	defer func() { err = errors.Join(err, t.Close()) }()
	if err := t.prepareJournal(nil); err != nil {
		return nil, err
	}
	return slices.Collect(maps.Values(t.journal.Entries(plan.Target{}))), nil
}

const dryRestore = "would be restored"
