package tuning

import (
	"errors"
	"slices"

	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
)

// Restore gives back every original of the host that the journal has, once, whatever
// any spec asks for. The agent must not run meanwhile; when it does again without a
// word from the API server, it holds nothing. With dry it only says what it would do.
// others is how many networks of pods the journal has beside the host's.
func Restore(o Options, dry bool) (list []v1alpha1.SettingStatus, others int, err error) {
	t := New(o)
	defer func() { err = errors.Join(err, t.Close()) }()
	asked := &journal.Wish{Settings: []v1alpha1.Setting{}}
	if dry {
		asked = nil
	}
	if err := t.prepare(asked); err != nil {
		return nil, 0, err
	}
	_, facts := t.facts()
	if dry {
		facts.Stop = dryRestore
	}
	others = len(slices.DeleteFunc(t.journal.Targets(), plan.Target.Host))
	return t.hold([]v1alpha1.Setting{}, facts), others, nil
}

const dryRestore = "would be given back"
