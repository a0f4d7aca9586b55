package plan

import (
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// A value that takes effect after a restart is written once. The value in effect until
// then is Live of its journal entry, while the boot is the same.

// IsSameBoot reports whether a and b are IDs of the same boot. Windows has only a computed boot time, so a small
// difference must not look like a restart.
func IsSameBoot(a, b string) bool {
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

// minRestartTime is less than Windows needs to restart.
const minRestartTime = 5 * time.Second

// evaluateEffect returns the state of a current value, with its journal entry, if any.
func (b *planBuilder) evaluateEffect(def settings.Setting, value string, e JournalEntry) (
	v1alpha1.SettingState, string,
) {
	switch def.Effect {
	case settings.Immediately:
		return v1alpha1.SettingApplied, ""
	case settings.AfterRestart:
		if IsSameBoot(e.Boot, b.in.Boot) && e.Live != "" && !def.IsSame(e.Live, value) {
			return v1alpha1.SettingRestartRequired, "takes effect after a restart of the node; until then: " + settings.TruncateValue(e.Live)
		}
		return v1alpha1.SettingApplied, ""
	}
	return v1alpha1.SettingApplied, "takes effect " + def.Effect.String()
}

// findLiveValue returns the value in effect in this boot of a setting that takes effect
// after a restart; e is its entry, if any.
func (b *planBuilder) findLiveValue(def settings.Setting, now string, e JournalEntry) string {
	m := b.findMemory(def.Key)
	switch {
	case def.Effect != settings.AfterRestart:
		return ""
	case IsSameBoot(e.Boot, b.in.Boot) && e.Live != "":
		return e.Live
	case m.Applied: // another program has changed it since
		return m.Desired
	}
	return now
}

// explainDelay returns a message if the restored value takes effect only after a
// restart.
func (b *planBuilder) explainDelay(def settings.Setting, e JournalEntry, back string) string {
	if def.Effect != settings.AfterRestart {
		return ""
	}
	if live := b.findLiveValue(def, b.in.Current[def.Key].Value, e); !def.IsSame(live, back) {
		return "takes effect after a restart of the node; until then: " + settings.TruncateValue(live)
	}
	return ""
}
