package plan

import (
	"fmt"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// wouldWrite is what s would change, and the headroom that it would give.
func (b *builder) wouldWrite(s *v1alpha1.Setting, is settings.Setting) string {
	now := b.untouched(s.Key)
	switch r := b.reservation(); {
	case r.ranged(s.Key):
		return r.wouldMove(want{s, is}, now)
	case s.Key == r.list:
		return r.wouldAdd(parsePorts(s.Value))
	case is.IsSame(now, s.Value):
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
	text := fmt.Sprintf("would change %q to %q: %s → %s ports", now, w.Value,
		thousands(span(w.is, now).without(reserved).len()), thousands(span(w.is, w.Value).without(reserved.with(need)).len()))
	if need != (ports{}) {
		text += fmt.Sprintf(", %s reserved for %s", settings.Clip(need.String()), r.whose(need))
	}
	return text
}

func (r *reservation) wouldAdd(p ports) string {
	reserved := r.now.any()
	more := r.every(p).without(r.now).any()
	if more == (ports{}) {
		return "would change nothing"
	}
	text := fmt.Sprintf("would add %s", settings.Clip(more.String()))
	if is, _ := r.lookup(r.ranges[0]); r.Current[is.Key].Value != "" {
		free := span(is, r.Current[is.Key].Value).without(reserved)
		text += fmt.Sprintf(": %s → %s ports", thousands(free.len()), thousands(free.without(more).len()))
	}
	return text
}

// untouched is what stands at key, or would without us.
func (b *builder) untouched(key string) string {
	now := b.Current[key].Value
	is, _ := b.lookup(key)
	if e, held := b.entry(key); held && key != b.pools().list {
		return e.beneath(is, now)
	}
	return now
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// oneLine is an error without line breaks.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", ": ") }
