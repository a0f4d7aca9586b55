package transition

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func atOffset(d time.Duration) *metav1.Time { return new(metav1.NewTime(noon.Add(d))) }

// newStatus returns a node's status at noon with changes.
func newStatus(level v1alpha1.Level, changes ...func(*v1alpha1.PortPressureStatus)) *v1alpha1.PortPressureStatus {
	s := &v1alpha1.PortPressureStatus{ObservedAt: atOffset(0), Level: level}
	for _, change := range changes {
		change(s)
	}
	return s
}

func withCondition(condition string, status metav1.ConditionStatus) func(*v1alpha1.PortPressureStatus) {
	return func(s *v1alpha1.PortPressureStatus) {
		s.Conditions = append(s.Conditions, metav1.Condition{Type: condition, Status: status, Message: "31 of 40 sockets"})
	}
}

func withFailure(ago time.Duration) func(*v1alpha1.PortPressureStatus) {
	return func(s *v1alpha1.PortPressureStatus) {
		s.Failures = append(s.Failures, v1alpha1.Failure{Network: "shop/api", Destination: "10.0.0.9", Port: 5432, Reason: "EADDRNOTAVAIL", Count: 7, LastAt: *atOffset(-ago)})
	}
}

func TestFindChanges(t *testing.T) {
	const normal, warning, critical = v1alpha1.LevelNormal, v1alpha1.LevelWarning, v1alpha1.LevelCritical
	const leak, table, restart = v1alpha1.ConditionLeakSuspected, v1alpha1.ConditionConntrackAvailable, v1alpha1.ConditionRestartRequired
	const yes, no, unknown = metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	tests := map[string]struct {
		last      Notified
		now       *v1alpha1.PortPressureStatus
		remaining int // Events left in the budget; 0 means 6, -1 means none
		want      string
		wantLast  Notified
	}{
		"a healthy node":                                     {now: newStatus(normal, withCondition(leak, no), withCondition(table, yes))},
		"a node without a status":                            {last: Notified{Level: critical}, now: &v1alpha1.PortPressureStatus{}, wantLast: Notified{Level: critical}},
		"above the warning threshold":                        {now: newStatus(warning), want: "HeadroomLow", wantLast: Notified{Level: warning}},
		"still above the warning threshold":                  {last: Notified{Level: warning}, now: newStatus(warning), wantLast: Notified{Level: warning}},
		"from Normal to Critical":                            {now: newStatus(critical), want: "HeadroomCritical", wantLast: Notified{Level: critical}},
		"from Warning to Critical":                           {last: Notified{Level: warning}, now: newStatus(critical), want: "HeadroomCritical", wantLast: Notified{Level: critical}},
		"back below the critical threshold":                  {last: Notified{Level: critical}, now: newStatus(warning), want: "HeadroomLow", wantLast: Notified{Level: warning}},
		"back to Normal":                                     {last: Notified{Level: critical}, now: newStatus(normal), want: "HeadroomRestored"},
		"an unknown level does not end a problem":            {last: Notified{Level: critical}, now: newStatus(""), wantLast: Notified{Level: critical}},
		"a level of a newer agent is ignored":                {last: Notified{Level: warning}, now: newStatus("Severe"), wantLast: Notified{Level: warning}},
		"a leak begins":                                      {now: newStatus(normal, withCondition(leak, yes)), want: "LeakSuspected", wantLast: Notified{Leak: true}},
		"a leak continues":                                   {last: Notified{Leak: true}, now: newStatus(normal, withCondition(leak, yes)), wantLast: Notified{Leak: true}},
		"a leak ends without an Event":                       {last: Notified{Leak: true}, now: newStatus(normal, withCondition(leak, no)), remaining: -1},
		"an unknown condition does not end a leak":           {last: Notified{Leak: true}, now: newStatus(normal, withCondition(leak, unknown)), wantLast: Notified{Leak: true}},
		"the conntrack table is nearly full":                 {now: newStatus(normal, withCondition(table, no)), want: "ConntrackPressure", wantLast: Notified{Conntrack: true}},
		"the conntrack table has free entries again":         {last: Notified{Conntrack: true}, now: newStatus(normal, withCondition(table, yes)), want: "ConntrackRestored"},
		"a conntrack table that can't be read":               {last: Notified{Conntrack: true}, now: newStatus(normal, withCondition(table, unknown)), wantLast: Notified{Conntrack: true}},
		"conditions that an older agent lacks":               {last: Notified{Conntrack: true, Leak: true}, now: newStatus(normal), wantLast: Notified{Conntrack: true, Leak: true}},
		"settings require a restart":                         {now: newStatus(normal, withCondition(restart, yes)), want: "RestartRequired", wantLast: Notified{Restart: true}},
		"settings still require a restart":                   {last: Notified{Restart: true}, now: newStatus(normal, withCondition(restart, yes)), wantLast: Notified{Restart: true}},
		"a restart of the node causes no Event":              {last: Notified{Restart: true}, now: newStatus(normal, withCondition(restart, no)), remaining: -1},
		"calls failed":                                       {now: newStatus(normal, withFailure(time.Minute)), want: "PortsExhausted", wantLast: Notified{ExhaustedAt: atOffset(-time.Minute)}},
		"calls still fail, 10 minutes later":                 {last: Notified{ExhaustedAt: atOffset(-10 * time.Minute)}, now: newStatus(normal, withFailure(0)), want: "PortsExhausted", wantLast: Notified{ExhaustedAt: atOffset(0)}},
		"calls still fail, less than 10 minutes later":       {last: Notified{ExhaustedAt: atOffset(-9 * time.Minute)}, now: newStatus(normal, withFailure(0)), wantLast: Notified{ExhaustedAt: atOffset(-9 * time.Minute)}},
		"the latest failure counts":                          {last: Notified{ExhaustedAt: atOffset(-20 * time.Minute)}, now: newStatus(normal, withFailure(20*time.Minute), withFailure(0), withFailure(21*time.Minute)), want: "PortsExhausted", wantLast: Notified{ExhaustedAt: atOffset(0)}},
		"calls no longer fail and their network was removed": {last: Notified{ExhaustedAt: atOffset(-time.Minute)}, now: newStatus(normal, withFailure(40*time.Minute)), wantLast: Notified{ExhaustedAt: atOffset(-time.Minute)}},
		"failures older than an hour are ignored":            {now: newStatus(normal, withFailure(61*time.Minute))},
		"the node's clock was set back":                      {last: Notified{ExhaustedAt: atOffset(3 * time.Hour)}, now: newStatus(normal, withFailure(time.Second)), want: "PortsExhausted", wantLast: Notified{ExhaustedAt: atOffset(-time.Second)}},
		"all changes at once": {
			now: newStatus(critical, withCondition(leak, yes), withCondition(table, no), withFailure(0)), want: "HeadroomCritical LeakSuspected ConntrackPressure PortsExhausted",
			wantLast: Notified{Level: critical, Leak: true, Conntrack: true, ExhaustedAt: atOffset(0)},
		},
		"with a budget of two Events, the third is deferred": {
			now: newStatus(critical, withCondition(leak, yes), withCondition(table, no)), remaining: 2, want: "HeadroomCritical LeakSuspected", wantLast: Notified{Level: critical, Leak: true},
		},
		"the last Event of a budget may report a change for the worse": {
			last: Notified{Conntrack: true}, now: newStatus(warning, withCondition(table, yes)), remaining: 1, want: "HeadroomLow", wantLast: Notified{Level: warning, Conntrack: true},
		},
		"the last Event of a budget may not report an improvement": {
			last: Notified{Level: critical, Conntrack: true}, now: newStatus(warning, withCondition(table, yes)), remaining: 1, wantLast: Notified{Level: critical, Conntrack: true},
		},
		"without a budget, only failures are reported": {
			now: newStatus(critical, withFailure(0)), remaining: -1, want: "PortsExhausted", wantLast: Notified{ExhaustedAt: atOffset(0)},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			remaining := tt.remaining
			if remaining == 0 {
				remaining = 6
			}
			changes, newLast := FindChanges(tt.last, tt.now, remaining)
			var reasons []string
			for _, c := range changes {
				reasons = append(reasons, c.Reason)
			}
			if got := strings.Join(reasons, " "); got != tt.want {
				t.Errorf("reported %q, want %q", got, tt.want)
			}
			if diff := cmp.Diff(tt.wantLast, newLast); diff != "" {
				t.Errorf("Notified (-want +got):\n%s", diff)
			}
			// With the value from the annotation, nothing is reported again.
			if again, _ := FindChanges(ParseNotified(newLast.String()), tt.now, remaining); remaining > 2 && len(again) > 0 {
				t.Errorf("reported again: %v", again)
			}
		})
	}
}

func TestNothingReportedNeedsNoAnnotation(t *testing.T) {
	if got := (Notified{}).String(); got != "" {
		t.Errorf("String() = %q, want an empty string", got)
	}
	const want = `{"level":"Critical","leak":true,"exhaustedAt":"2026-07-01T12:00:00Z"}`
	if got := (Notified{Level: v1alpha1.LevelCritical, Leak: true, ExhaustedAt: atOffset(0)}).String(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, foreign := range []string{"", "yes", `{"level":7}`, `[]`, `{"level":"Critical","exhaustedAt":"soon"}`} {
		if got := ParseNotified(foreign); got != (Notified{}) {
			t.Errorf("ParseNotified(%q) = %+v", foreign, got)
		}
	}
}

// withTightestPool adds a nearly exhausted pool, as an agent reports it.
func withTightestPool(s *v1alpha1.PortPressureStatus) {
	s.UsedPercent, s.ExhaustionSeconds = new(int32(81)), new(int64(250))
	s.Cause, s.Advice = v1alpha1.CauseTimeWaitChurn, "Reuse connections."
	s.Tightest = &v1alpha1.Pool{
		Summary: "shop/api-7f → 10.0.0.9:5432", Destination: "10.0.0.9", Port: 5432, Used: 22868, Capacity: 28232,
		Holder: &v1alpha1.Holder{Namespace: "shop", Pod: "api-7f", Container: "api", Process: "api-server"},
	}
}

// newLeakStatus returns a status with a nearly exhausted pool and a suspected leak with
// that reason.
func newLeakStatus(reason v1alpha1.Cause) *v1alpha1.PortPressureStatus {
	s := newStatus(v1alpha1.LevelNormal, withTightestPool, withCondition(v1alpha1.ConditionLeakSuspected, metav1.ConditionTrue))
	s.Conditions[0].Reason = string(reason)
	return s
}

func TestFormatNote(t *testing.T) {
	withPastPressure := func(s *v1alpha1.PortPressureStatus) {
		s.LastPressure = &v1alpha1.Pressure{PeakPercent: 97, Summary: "shop/api-7f → 10.0.0.9:5432", Cause: v1alpha1.CauseTimeWaitChurn, From: *atOffset(-14 * time.Minute), To: atOffset(0)}
	}
	tests := map[string]struct {
		last Notified
		now  *v1alpha1.PortPressureStatus
		name string
		want string
	}{
		"all fields are known": {
			now: newStatus(v1alpha1.LevelCritical, withTightestPool), name: "Service shop/db",
			want: "81 % of ports in use (22868/28232): shop/api-7f → 10.0.0.9:5432 (Service shop/db), mainly by shop/api-7f, container api, process api-server. At this rate no port will be free in 4 min. TimeWaitChurn: Reuse connections.",
		},
		"settings that require a restart": {
			now: newStatus(v1alpha1.LevelNormal, withCondition(v1alpha1.ConditionRestartRequired, metav1.ConditionTrue), func(s *v1alpha1.PortPressureStatus) {
				s.Conditions[0].Message = "TcpTimedWaitDelay, MaxUserPort"
			}),
			want: "Restart required to apply: TcpTimedWaitDelay, MaxUserPort. Portreeve does not restart nodes.",
		},
		"below the critical threshold, but not Normal": {
			last: Notified{Level: v1alpha1.LevelCritical}, now: newStatus(v1alpha1.LevelWarning, withTightestPool, func(s *v1alpha1.PortPressureStatus) {
				s.Advice, s.ExhaustionSeconds, s.Tightest.Holder = "", new(int64(0)), nil
			}),
			want: "Below the critical threshold again: 81 % of ports in use (22868/28232): shop/api-7f → 10.0.0.9:5432. No port is free. Cause: TimeWaitChurn.",
		},
		"only the percentage is known": {
			now: newStatus(v1alpha1.LevelWarning, func(s *v1alpha1.PortPressureStatus) { s.UsedPercent = new(int32(60)) }), want: "60 % of ports in use.",
		},
		"back to Normal": {
			last: Notified{Level: v1alpha1.LevelWarning}, now: newStatus(v1alpha1.LevelNormal, withPastPressure),
			want: "All pools are below the warning threshold again. The pressure lasted 14 min and peaked at 97 % of shop/api-7f → 10.0.0.9:5432 (TimeWaitChurn).",
		},
		"calls failed": {
			now: newStatus(v1alpha1.LevelNormal, withFailure(0), withFailure(time.Minute)), name: "pod shop/db-0",
			want: "Calls failed because no port was free (EADDRNOTAVAIL): 14 since the agent started, most of them shop/api → 10.0.0.9:5432 (pod shop/db-0).",
		},
		"a leak in the tightest pool": {
			now:  newLeakStatus(v1alpha1.CauseTimeWaitChurn),
			want: "Sockets that a program should have closed are filling a pool: 31 of 40 sockets. TimeWaitChurn: Reuse connections.",
		},
		"a leak in another pool, without advice": {
			now:  newLeakStatus(v1alpha1.CauseCloseWaitLeak),
			want: "Sockets that a program should have closed are filling a pool: 31 of 40 sockets. Cause: CloseWaitLeak.",
		},
		"a conntrack table that is nearly full": {
			now: newStatus(v1alpha1.LevelNormal, withCondition(v1alpha1.ConditionConntrackAvailable, metav1.ConditionFalse), func(s *v1alpha1.PortPressureStatus) {
				s.Conntrack = &v1alpha1.Conntrack{Entries: 249036, Max: 262144, UsedPercent: 95}
			}),
			want: "conntrack table nearly full: 95 % (249036/262144).",
		},
		"a conntrack table without a free entry": {
			now: newStatus(v1alpha1.LevelNormal, withCondition(v1alpha1.ConditionConntrackAvailable, metav1.ConditionFalse), func(s *v1alpha1.PortPressureStatus) {
				s.Conditions[0].Reason = v1alpha1.ReasonConntrackInsertFailed
			}),
			want: "conntrack entries could not be inserted: 31 of 40 sockets.",
		},
		"a conntrack table whose figures are not known": {
			now:  newStatus(v1alpha1.LevelNormal, withCondition(v1alpha1.ConditionConntrackAvailable, metav1.ConditionFalse)),
			want: "conntrack table nearly full: 31 of 40 sockets.",
		},
		"the conntrack table has free entries": {
			last: Notified{Conntrack: true}, now: newStatus(v1alpha1.LevelNormal, withCondition(v1alpha1.ConditionConntrackAvailable, metav1.ConditionTrue)),
			want: "conntrack table has free entries again: 31 of 40 sockets.",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			changes, _ := FindChanges(tt.last, tt.now, 6)
			if len(changes) != 1 {
				t.Fatalf("%d changes", len(changes))
			}
			if diff := cmp.Diff(tt.want, changes[0].FormatNote(tt.now, tt.name)); diff != "" {
				t.Errorf("note (-want +got):\n%s", diff)
			}
			if got := changes[0].Destination(tt.now); tt.name != "" && got != "10.0.0.9" {
				t.Errorf("destination %q", got)
			}
		})
	}
}

func TestANoteFitsIntoAnEvent(t *testing.T) {
	for extra := range 4 { // for each offset in a character of three bytes
		s := newStatus(v1alpha1.LevelWarning, withTightestPool)
		s.Advice = strings.Repeat("x", extra) + strings.Repeat("→", 400)
		changes, _ := FindChanges(Notified{}, s, 6)
		note := changes[0].FormatNote(s, "")
		if len(note) > maxNote || len(note) < maxNote-3 || !utf8.ValidString(note) || !strings.HasSuffix(note, "→…") {
			t.Errorf("%d bytes: …%q", len(note), note[len(note)-9:])
		}
	}
}

func TestDurationsAreRounded(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 119 * time.Second: "119 s", 2 * time.Minute: "2 min", 119 * time.Minute: "119 min", 50 * time.Hour: "50 h",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("formatDuration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestFormatEndpoint(t *testing.T) {
	for want, a := range map[string]string{"10.0.0.9:53": "10.0.0.9", "[fd00::9]:53": "fd00::9"} {
		if got := FormatEndpoint(a, 53); got != want {
			t.Errorf("FormatEndpoint(%s) = %s, want %s", a, got, want)
		}
	}
}
