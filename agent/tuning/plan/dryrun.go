package plan

import (
	"fmt"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/text"
)

// describeWrite returns the change that s would make, with the number of ports gained.
func (b *planBuilder) describeWrite(s *v1alpha1.Setting, def settings.Setting) string {
	now := b.findUntouchedValue(s.Key)
	switch r := b.newRangePlanner(); {
	case r.isRange(s.Key):
		return r.describeRangeChange(desiredSetting{s, def}, now)
	case s.Key == r.reserved:
		return r.describeAddedPorts(parsePortLists(def, s.Value))
	case def.IsSame(now, s.Value):
		return "would change nothing"
	}
	return fmt.Sprintf("would change %q to %q", settings.TruncateValue(now), settings.TruncateValue(s.Value))
}

func (r *rangePlanner) describeRangeChange(w desiredSetting, now string) string {
	need, why := r.findCollisions(w)
	if why == "" {
		why = r.explainUnreservable(w.Key, need)
	}
	if why != "" {
		return "would be refused: " + why
	}
	reserved := r.current.mergeAll()
	message := fmt.Sprintf("would change %q to %q: %s → %s ports", now, w.Value,
		countPorts(parseRangePorts(w.def, now), reserved), countPorts(parseRangePorts(w.def, w.Value), ports.Union(reserved, need)))
	if !need.IsEmpty() {
		message += fmt.Sprintf(", %s reserved for %s", settings.TruncateValue(need.String()), r.nameOwners(need))
	}
	return message
}

func (r *rangePlanner) describeAddedPorts(p portLists) string {
	reserved := r.current.mergeAll()
	more := p.subtract(r.current).mergeAll()
	if more.IsEmpty() {
		return "would change nothing"
	}
	message := fmt.Sprintf("would add %s", settings.TruncateValue(more.String()))
	if def, _ := r.in.lookupSetting(r.ranges[0]); r.in.Current[def.Key].Value != "" {
		now := parseRangePorts(def, r.in.Current[def.Key].Value)
		message += fmt.Sprintf(": %s → %s ports", countPorts(now, reserved), countPorts(now, ports.Union(reserved, more)))
	}
	return message
}

// findUntouchedValue returns the value that key would have without Portreeve.
func (b *planBuilder) findUntouchedValue(key string) string {
	now := b.in.Current[key].Value
	def, _ := b.in.lookupSetting(key)
	if e, inJournal := b.findEntry(key); inJournal && key != b.in.selectPortKeys().reserved {
		return e.restoreValue(def, now)
	}
	return now
}

// countPorts returns the number of ports in span that are not reserved.
func countPorts(span, reserved ports.Set) string {
	span.RemoveAll(&reserved)
	return text.FormatThousands(span.Len())
}

// joinLines returns the text of err on one line.
func joinLines(err error) string { return strings.ReplaceAll(err.Error(), "\n", ": ") }
