package assess

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"portreeve.io/portreeve/api/v1alpha1"
)

func TestTuned(t *testing.T) {
	of := func(states ...v1alpha1.SettingState) []v1alpha1.SettingStatus {
		list := []v1alpha1.SettingStatus{}
		for i, s := range states {
			list = append(list, v1alpha1.SettingStatus{ID: fmt.Sprint(i), State: s, Message: "why " + string(s)})
		}
		return list
	}
	tests := map[string]struct {
		settings       []v1alpha1.SettingStatus
		tuned, restart string
		message        string
	}{
		"Nobody has said":             {nil, "True Holding", "False NoneWaits", "nobody has said what is wanted"},
		"Nothing is wanted":           {of(), "True NothingWanted", "False NoneWaits", ""},
		"Everything was given back":   {of("Released"), "True NothingWanted", "False NoneWaits", ""},
		"Everything stands":           {of("Applied", "Standby", "DryRun"), "True Applied", "False NoneWaits", ""},
		"The worst is told":           {of("Applied", "Pending", "Refused", "Failed"), "False Failed", "False NoneWaits", "3: why Failed"},
		"Contested before refused":    {of("Refused", "Contested"), "False Contested", "False NoneWaits", "1: why Contested"},
		"A restart would be the rest": {of("Applied", "RestartRequired"), "False RestartRequired", "True SettingsWait", "1: why RestartRequired"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var c Course
			s := seen(0, 10, "pool")
			c.Follow(s, Facts{}.Thresholds)
			c.Tuned(s, test.settings)
			if got := said(s, v1alpha1.ConditionTuned); got != test.tuned {
				t.Errorf("got %s, want %s", got, test.tuned)
			}
			if got := said(s, v1alpha1.ConditionRestartRequired); got != test.restart {
				t.Errorf("got %s, want %s", got, test.restart)
			}
			for _, condition := range s.Conditions {
				if condition.Type == v1alpha1.ConditionTuned && condition.Message != test.message {
					t.Errorf("got %q, want %q", condition.Message, test.message)
				}
			}
		})
	}
}

func TestFitKeepsTheStateOfEverySetting(t *testing.T) {
	sample, facts := worst(12, 24)
	status := Status(sample, facts)
	var course Course
	course.Follow(&status, facts.Thresholds)
	long := strings.Repeat("9", 500)
	var settings []v1alpha1.SettingStatus
	for i := range 16 {
		s := v1alpha1.SettingStatus{ID: fmt.Sprintf("net.ipv4.tcp_keepalive_intvl@%08x", i), Key: "net.ipv4.tcp_keepalive_intvl", Scope: "Pods",
			Want: &long, Have: &long, Original: &long, State: v1alpha1.SettingApplied, Message: strings.Repeat("why ", 100), LastTransitionTime: status.ObservedAt}
		settings = append(settings, s)
	}
	course.Tuned(&status, settings)
	if err := Fit(&status); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(status)
	if err != nil || len(raw) > MaxBytes || len(status.Settings) != len(settings) {
		t.Errorf("%v, %d bytes, %d settings", err, len(raw), len(status.Settings))
	}
	if settings[0].Want == nil || len(settings[0].Message) != 400 {
		t.Error("the settings of others were changed")
	}
}
