package settings_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/internal/settings"
)

func TestSuggestionsAreFoundInAdvice(t *testing.T) {
	for _, s := range settings.All() {
		for _, value := range exampleValues(s.Value) {
			if value == "" {
				continue
			}
			text := "Use less. " + settings.FormatSuggestion(s.OS, s.Key, value) + " helps; note."
			if diff := cmp.Diff(map[string]string{s.Key: value}, settings.FindSuggestions(s.OS, text)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", text, diff)
			}
		}
	}
	for name, text := range map[string]string{
		"no suggestion":           "set net.core.somaxconn to 1024",
		"a value without a field": "net.core.somaxconn = 1024 helps",
		"a forbidden value":       "net.core.somaxconn = 1 (NodeTuning linux.backlog.accept) helps",
		"a part of another name":  "xnet.core.somaxconn = 1024 (NodeTuning linux.backlog.accept) helps",
	} {
		if got := settings.FindSuggestions(settings.Linux, text); len(got) > 0 {
			t.Errorf("%s: found %q in %q", name, got, text)
		}
	}
}

func TestAReservationIsFoundInAMessage(t *testing.T) {
	for _, list := range []string{"30000-32767", "5432,8080-8090"} {
		if got := settings.FindReservation(settings.FormatReservation("the range covers NodePorts; more", list)); got != list {
			t.Errorf("%q, want %q", got, list)
		}
	}
	for _, text := range []string{"", "reserve 80", "a; reserve ", "a; reserve 80,81\u2026", "a; reserve fewer"} {
		if got := settings.FindReservation(text); got != "" {
			t.Errorf("%q in %q", got, text)
		}
	}
}
