package plan

import (
	"fmt"
	"strings"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/tunable"
	"portreeve.io/portreeve/api/v1alpha1"
)

// wouldWrite is what s would change, and the headroom that it would give.
func (b *builder) wouldWrite(s *v1alpha1.Setting, is tunable.Setting) string {
	now := b.untouched(s.Key)
	switch {
	case s.Key == rangeKey:
		reserved := parsePorts(b.Current[reserveKey].Value)
		r := reservation{builder: b, now: reserved}
		need, why := r.collisions(want{s, is})
		if why == "" {
			why = r.cantReserve(need)
		}
		if why != "" {
			return "would be refused: " + why
		}
		text := fmt.Sprintf("would change %q to %q: %s → %s ports", now, s.Value, thousands(capacity(now, reserved)), thousands(capacity(s.Value, reserved.with(need))))
		if need != (ports{}) {
			text += fmt.Sprintf(", %s reserved for %s", tunable.Clip(need.String()), b.whose(need))
		}
		return text
	case s.Key == reserveKey:
		reserved := parsePorts(now)
		more := parsePorts(s.Value).without(reserved)
		if more == (ports{}) {
			return "would change nothing"
		}
		r := b.Current[rangeKey].Value
		text := fmt.Sprintf("would add %s", tunable.Clip(more.String()))
		if r != "" {
			text += fmt.Sprintf(": %s → %s ports", thousands(capacity(r, reserved)), thousands(capacity(r, reserved.with(more))))
		}
		return text
	case is.Same(now, s.Value):
		return "would change nothing"
	}
	return fmt.Sprintf("would change %q to %q", tunable.Clip(now), tunable.Clip(s.Value))
}

// untouched is what stands at key, or would without us.
func (b *builder) untouched(key string) string {
	now := b.Current[key].Value
	is, _ := tunable.Lookup(tunable.Linux, key)
	if e, held := b.entry(key); held && key != reserveKey && e.wrote(is, now) {
		return e.Original
	}
	return now
}

// capacity is how many ports a range gives without those that are reserved.
func capacity(r string, reserved ports) int {
	first, last, err := tunable.ParseSpan(r)
	if err != nil {
		return 0
	}
	s := socket.Settings{Range: socket.Range{First: uint16(first), Last: uint16(last)}, Reserved: reserved.within(span(r)).len()}
	return s.Capacity()
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// oneLine is an error without line breaks.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", ": ") }
