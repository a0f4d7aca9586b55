package plan

import (
	"fmt"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/text"
)

// wouldWrite is what s would change, and the headroom that it would give.
func (b *builder) wouldWrite(s *v1alpha1.Setting, is settings.Setting) string {
	now := b.untouched(s.Key)
	switch r := b.reservation(); {
	case r.ranged(s.Key):
		return r.wouldMove(want{s, is}, now)
	case s.Key == r.list:
		return r.wouldAdd(parsePorts(s.Value))
	case is.Same(now, s.Value):
		return "would change nothing"
	}
	return fmt.Sprintf("would change %q to %q", settings.Clip(now), settings.Clip(s.Value))
}

func (r *reservation) wouldMove(w want, now string) string {
	need, why := r.collisions(w)
	if why == "" {
		why = r.cantReserve(w.Key, need)
	}
	if why != "" {
		return "would be refused: " + why
	}
	reserved := r.now.any()
	message := fmt.Sprintf("would change %q to %q: %s → %s ports", now, w.Value,
		countPorts(span(w.is, now), reserved), countPorts(span(w.is, w.Value), ports.Union(reserved, need)))
	if !need.IsEmpty() {
		message += fmt.Sprintf(", %s reserved for %s", settings.Clip(need.String()), r.whose(need))
	}
	return message
}

func (r *reservation) wouldAdd(p ports.Set) string {
	reserved := r.now.any()
	more := r.every(p).without(r.now).any()
	if more.IsEmpty() {
		return "would change nothing"
	}
	message := fmt.Sprintf("would add %s", settings.Clip(more.String()))
	if is, _ := r.in.lookup(r.ranges[0]); r.in.Current[is.Key].Value != "" {
		now := span(is, r.in.Current[is.Key].Value)
		message += fmt.Sprintf(": %s → %s ports", countPorts(now, reserved), countPorts(now, ports.Union(reserved, more)))
	}
	return message
}

// untouched is what stands at key, or would without us.
func (b *builder) untouched(key string) string {
	now := b.in.Current[key].Value
	is, _ := b.in.lookup(key)
	if e, held := b.entry(key); held && key != b.in.pools().list {
		return e.beneath(is, now)
	}
	return now
}

// countPorts returns the number of ports in span that are not reserved.
func countPorts(span, reserved ports.Set) string {
	span.RemoveAll(&reserved)
	return text.FormatThousands(span.Len())
}

// oneLine is an error without line breaks.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", ": ") }
