package plan

import (
	"fmt"

	"portreeve.io/portreeve/internal/settings"
)

// isRounded reports whether the kernel made have of the written value: it does so again
// when the value is written once more.
func (p *Plan) isRounded(def settings.Setting, w Write, have string, write func(Write) (string, error)) bool {
	e, _ := p.findPlannedEntry(w.Key)
	if w.Original || !canRound(def) || def.IsSame(have, w.Previous) && !def.IsSame(have, e.Found) {
		return false
	}
	w.Previous = have
	again, err := write(w)
	if err != nil || !def.IsSame(again, have) {
		return false
	}
	for i := range p.drafts {
		if it := &p.drafts[i]; it.status.Key == w.Key {
			it.messageWhenDone = explainRounding(def, w.Value, have)
		}
	}
	return true
}

// canRound reports whether the kernel may change a value that it accepts.
func canRound(def settings.Setting) bool {
	_, isInteger := def.Value.(settings.Integer)
	return isInteger && def.OS == settings.Linux
}

func explainRounding(def settings.Setting, value, have string) string {
	return fmt.Sprintf("%s: the kernel made %q of %q", def.Key, settings.TruncateValue(have), settings.TruncateValue(value))
}
