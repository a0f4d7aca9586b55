package plan

import (
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// A value that works after a restart only is written once and waits: what works until
// then is its entry's Live, while the boot is the entry's.

// isSameBoot compares boot IDs. Windows has none but the time of its start, which is
// computed: if it came out a little different, a setting must not seem to work already.
func isSameBoot(a, b string) bool {
	if a == b {
		return true
	}
	at, err := time.Parse(time.RFC3339Nano, a)
	if err != nil {
		return false
	}
	bt, err := time.Parse(time.RFC3339Nano, b)
	return err == nil && at.Sub(bt).Abs() < minRestartTime
}

// minRestartTime is less than Windows takes from one start to the next.
const minRestartTime = 5 * time.Second

// evaluateEffect is the state of a value that stands, whose entry, if there is one, is e.
func (b *planBuilder) evaluateEffect(def settings.Setting, value string, e JournalEntry) (v1alpha1.SettingState, string) {
	switch def.Effect {
	case settings.AtOnce:
		return v1alpha1.SettingApplied, ""
	case settings.AfterRestart:
		if isSameBoot(e.Boot, b.in.Boot) && e.Live != "" && !def.Same(e.Live, value) {
			return v1alpha1.SettingRestartRequired, "takes effect after a restart of the node; until then: " + settings.Clip(e.Live)
		}
		return v1alpha1.SettingApplied, ""
	}
	return v1alpha1.SettingApplied, "takes effect " + def.Effect.String()
}

// findLiveValue is what works in this boot of a setting that works after a restart, before the
// first write; e is its entry, if there is one.
func (b *planBuilder) findLiveValue(def settings.Setting, now string, e JournalEntry) string {
	m := b.in.Memory[def.Key]
	switch {
	case def.Effect != settings.AfterRestart:
		return ""
	case isSameBoot(e.Boot, b.in.Boot) && e.Live != "":
		return e.Live
	case m.Applied: // and another program has changed it since
		return m.Desired
	}
	return now
}

// explainDelay says that a value which is given back works after a restart only; empty where
// it works already.
func (b *planBuilder) explainDelay(def settings.Setting, e JournalEntry, back string) string {
	if def.Effect != settings.AfterRestart {
		return ""
	}
	if live := b.findLiveValue(def, b.in.Current[def.Key].Value, e); !def.Same(live, back) {
		return "takes effect after a restart of the node; until then: " + settings.Clip(live)
	}
	return ""
}
