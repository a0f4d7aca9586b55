package assess

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

func TestTuned(t *testing.T) {
	of := func(states ...v1alpha1.SettingState) []v1alpha1.SettingStatus {
		list := []v1alpha1.SettingStatus{}
		for i, s := range states {
			list = append(list, v1alpha1.SettingStatus{ID: fmt.Sprint(i), Key: settings.TcpipParameters + fmt.Sprint(i), State: s, Message: "why " + string(s)})
		}
		return list
	}
	tests := map[string]struct {
		settings       []v1alpha1.SettingStatus
		tuned, restart string
		message        string
	}{
		"No desired settings":      {nil, "True Holding", "False NoRestartPending", "no desired settings received yet"},
		"An empty list":            {of(), "True NoSettings", "False NoRestartPending", ""},
		"All were restored":        {of("Released"), "True NoSettings", "False NoRestartPending", ""},
		"All have their values":    {of("Applied", "Standby", "DryRun"), "True Applied", "False NoRestartPending", ""},
		"The worst is reported":    {of("Applied", "Pending", "Refused", "Failed"), "False Failed", "False NoRestartPending", "3: why Failed"},
		"Contested before refused": {of("Refused", "Contested"), "False Contested", "False NoRestartPending", "1: why Contested"},
		"A restart is pending":     {of("Applied", "RestartRequired"), "False RestartRequired", "True RestartPending", "1: why RestartRequired"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var c StatusHistory
			s := statusAt(0, 10, "pool")
			c.completeStatus(s)
			c.addSettings(s, test.settings)
			if got := formatCondition(s, v1alpha1.ConditionTuned); got != test.tuned {
				t.Errorf("got %s, want %s", got, test.tuned)
			}
			if got := formatCondition(s, v1alpha1.ConditionRestartRequired); got != test.restart {
				t.Errorf("got %s, want %s", got, test.restart)
			}
			waiting := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionRestartRequired)
			if want := map[bool]string{true: "1"}[test.restart == "True RestartPending"]; waiting.Message != want {
				t.Errorf("%q require a restart, want %q", waiting.Message, want)
			}
			for _, condition := range s.Conditions {
				if condition.Type == v1alpha1.ConditionTuned && condition.Message != test.message {
					t.Errorf("got %q, want %q", condition.Message, test.message)
				}
			}
		})
	}
}

func TestSettingsThatAreNotRequestedAreACondition(t *testing.T) {
	var h StatusHistory
	for _, test := range []struct {
		statuses []v1alpha1.SettingStatus
		want     string
	}{
		{[]v1alpha1.SettingStatus{{ID: "a", State: v1alpha1.SettingApplied}}, ""},
		{[]v1alpha1.SettingStatus{{ID: "a", Orphaned: true}, {ID: "b"}, {ID: "c", Orphaned: true}}, "True NotRequested a, c"},
		{nil, ""},
	} {
		s := statusAt(0, 10, "pool")
		h.completeStatus(s)
		h.addSettings(s, test.statuses)
		got := ""
		if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionSettingsOrphaned); c != nil {
			got = fmt.Sprint(c.Status, " ", c.Reason, " ", c.Message)
		}
		if got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestTrimToSizeKeepsTheStateOfEverySetting(t *testing.T) {
	for name, test := range map[string]struct{ applied, failed int }{
		"few settings":              {16, 0},
		"too many applied settings": {100, 0},
		"failed ones among them":    {100, 5},
	} {
		t.Run(name, func(t *testing.T) { checkTrimmedSettings(t, test.applied, test.failed) })
	}
}

func checkTrimmedSettings(t *testing.T, applied, failed int) {
	sample, facts := newLargestNode(12, 24)
	status := BuildStatus(sample, facts)
	var history StatusHistory
	history.completeStatus(&status)
	long := strings.Repeat("9", 500)
	newest := &metav1.Time{Time: taken.Add(time.Minute)}
	var statuses []v1alpha1.SettingStatus
	for i := range applied + failed {
		s := v1alpha1.SettingStatus{ID: fmt.Sprintf("net.ipv4.tcp_keepalive_intvl@%08x", i), Key: settings.KeyTCPKeepaliveIntvl, Scope: "Pods",
			Desired: &long, Current: &long, Original: &long, State: v1alpha1.SettingApplied, Message: strings.Repeat("why ", 100), LastTransitionTime: status.ObservedAt}
		if i == applied-2 {
			s.LastTransitionTime = newest
		}
		if i >= applied {
			s.State = v1alpha1.SettingFailed
		}
		statuses = append(statuses, s)
	}
	history.addSettings(&status, statuses)
	if err := TrimToSize(&status); err != nil {
		t.Fatal(err)
	}
	out := v1alpha1.OmittedSettings{}
	if status.OmittedSettings != nil {
		out = *status.OmittedSettings
	}
	raw, err := json.Marshal(status)
	if err != nil || len(raw) > MaxStatusBytes || len(status.Settings)+int(out.Count) != len(statuses) {
		t.Errorf("%v, %d bytes, %d settings listed and %d omitted", err, len(raw), len(status.Settings), out.Count)
	}
	if out.Count > 0 && !out.LastTransitionTime.Equal(newest) {
		t.Errorf("the last transition of the omitted settings is %v, want %v", out.LastTransitionTime, newest)
	}
	bad := 0
	for _, s := range status.Settings {
		if s.State == v1alpha1.SettingFailed {
			bad++
		}
	}
	if bad != failed {
		t.Errorf("%d settings failed, %d of them are listed", failed, bad)
	}
	if statuses[0].Desired == nil || len(statuses[0].Message) != 400 {
		t.Error("the caller's settings were changed")
	}
}
