package plan

import (
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// A value that works after a restart only is written once and waits: what works until
// then is its entry's Live, while the boot is the entry's.

// sameBoot compares boot IDs. Windows has none but the time of its start, which is
// computed: if it came out a little different, a setting must not seem to work already.
func sameBoot(a, b string) bool {
	if a == b {
		return true
	}
	at, err := time.Parse(time.RFC3339Nano, a)
	if err != nil {
		return false
	}
	bt, err := time.Parse(time.RFC3339Nano, b)
	return err == nil && at.Sub(bt).Abs() < quickestRestart
}

// quickestRestart is less than Windows takes from one start to the next.
const quickestRestart = 5 * time.Second

// works is the state of a value that stands, whose entry, if there is one, is e.
func (b *builder) works(is settings.Setting, value string, e Entry) (v1alpha1.SettingState, string) {
	switch is.Effect {
	case settings.AtOnce:
		return v1alpha1.SettingApplied, ""
	case settings.AfterRestart:
		if sameBoot(e.Boot, b.in.Boot) && e.Live != "" && !is.Same(e.Live, value) {
			return v1alpha1.SettingRestartRequired, "works after a restart of the node; until then: " + settings.Clip(e.Live)
		}
		return v1alpha1.SettingApplied, ""
	}
	return v1alpha1.SettingApplied, "works " + is.Effect.String()
}

// live is what works in this boot of a setting that works after a restart, before the
// first write; e is its entry, if there is one.
func (b *builder) live(is settings.Setting, now string, e Entry) string {
	m := b.in.Memory[is.Key]
	switch {
	case is.Effect != settings.AfterRestart:
		return ""
	case sameBoot(e.Boot, b.in.Boot) && e.Live != "":
		return e.Live
	case m.Held: // and another program has changed it since
		return m.Want
	}
	return now
}

// later says that a value which is given back works after a restart only; empty where
// it works already.
func (b *builder) later(is settings.Setting, e Entry, back string) string {
	if is.Effect != settings.AfterRestart {
		return ""
	}
	if live := b.live(is, b.in.Current[is.Key].Value, e); !is.Same(live, back) {
		return "works after a restart of the node; until then: " + settings.Clip(live)
	}
	return ""
}
