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

// newStatus is a node's at noon, with changes.
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
	const leak, table, waits = v1alpha1.ConditionLeakSuspected, v1alpha1.ConditionConntrackAvailable, v1alpha1.ConditionRestartRequired
	const yes, no, unknown = metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	tests := map[string]struct {
		told Notified
		now  *v1alpha1.PortPressureStatus
		room int // 0 for enough, -1 for none
		want string
		then Notified
	}{
		"a healthy node is no news":                      {now: newStatus(normal, withCondition(leak, no), withCondition(table, yes))},
		"a node without a status is none":                {told: Notified{Level: critical}, now: &v1alpha1.PortPressureStatus{}, then: Notified{Level: critical}},
		"past the warning line":                          {now: newStatus(warning), want: "HeadroomLow", then: Notified{Level: warning}},
		"and it stays there":                             {told: Notified{Level: warning}, now: newStatus(warning), then: Notified{Level: warning}},
		"past the critical line from nothing":            {now: newStatus(critical), want: "HeadroomCritical", then: Notified{Level: critical}},
		"and from warning":                               {told: Notified{Level: warning}, now: newStatus(critical), want: "HeadroomCritical", then: Notified{Level: critical}},
		"back below the critical line":                   {told: Notified{Level: critical}, now: newStatus(warning), want: "HeadroomLow", then: Notified{Level: warning}},
		"all is well again":                              {told: Notified{Level: critical}, now: newStatus(normal), want: "HeadroomRestored"},
		"nothing could be measured, and so nothing ends": {told: Notified{Level: critical}, now: newStatus(""), then: Notified{Level: critical}},
		"a level of a newer agent is no news":            {told: Notified{Level: warning}, now: newStatus("Severe"), then: Notified{Level: warning}},
		"a leak begins":                                  {now: newStatus(normal, withCondition(leak, yes)), want: "LeakSuspected", then: Notified{Leak: true}},
		"a leak goes on":                                 {told: Notified{Leak: true}, now: newStatus(normal, withCondition(leak, yes)), then: Notified{Leak: true}},
		"a leak ends, without a word":                    {told: Notified{Leak: true}, now: newStatus(normal, withCondition(leak, no)), room: -1},
		"a leak that can't be seen has not ended":        {told: Notified{Leak: true}, now: newStatus(normal, withCondition(leak, unknown)), then: Notified{Leak: true}},
		"the table is full":                              {now: newStatus(normal, withCondition(table, no)), want: "ConntrackPressure", then: Notified{Conntrack: true}},
		"and has room again":                             {told: Notified{Conntrack: true}, now: newStatus(normal, withCondition(table, yes)), want: "ConntrackRestored"},
		"a table that can't be read is neither":          {told: Notified{Conntrack: true}, now: newStatus(normal, withCondition(table, unknown)), then: Notified{Conntrack: true}},
		"an older agent has no such conditions":          {told: Notified{Conntrack: true, Leak: true}, now: newStatus(normal), then: Notified{Conntrack: true, Leak: true}},
		"settings wait for a restart":                    {now: newStatus(normal, withCondition(waits, yes)), want: "RestartRequired", then: Notified{Restart: true}},
		"they wait still":                                {told: Notified{Restart: true}, now: newStatus(normal, withCondition(waits, yes)), then: Notified{Restart: true}},
		"the node was restarted, without a word":         {told: Notified{Restart: true}, now: newStatus(normal, withCondition(waits, no)), room: -1},
		"calls failed":                                   {now: newStatus(normal, withFailure(time.Minute)), want: "PortsExhausted", then: Notified{ExhaustedAt: atOffset(-time.Minute)}},
		"they go on, 10 minutes later":                   {told: Notified{ExhaustedAt: atOffset(-10 * time.Minute)}, now: newStatus(normal, withFailure(0)), want: "PortsExhausted", then: Notified{ExhaustedAt: atOffset(0)}},
		"they go on, too soon to say it again":           {told: Notified{ExhaustedAt: atOffset(-9 * time.Minute)}, now: newStatus(normal, withFailure(0)), then: Notified{ExhaustedAt: atOffset(-9 * time.Minute)}},
		"the latest of them counts":                      {told: Notified{ExhaustedAt: atOffset(-20 * time.Minute)}, now: newStatus(normal, withFailure(20*time.Minute), withFailure(0), withFailure(21*time.Minute)), want: "PortsExhausted", then: Notified{ExhaustedAt: atOffset(0)}},
		"they stopped, and their network is gone":        {told: Notified{ExhaustedAt: atOffset(-time.Minute)}, now: newStatus(normal, withFailure(40*time.Minute)), then: Notified{ExhaustedAt: atOffset(-time.Minute)}},
		"those of last night are history":                {now: newStatus(normal, withFailure(61*time.Minute))},
		"the node's clock was set back":                  {told: Notified{ExhaustedAt: atOffset(3 * time.Hour)}, now: newStatus(normal, withFailure(time.Second)), want: "PortsExhausted", then: Notified{ExhaustedAt: atOffset(-time.Second)}},
		"all at once": {
			now: newStatus(critical, withCondition(leak, yes), withCondition(table, no), withFailure(0)), want: "HeadroomCritical LeakSuspected ConntrackPressure PortsExhausted",
			then: Notified{Level: critical, Leak: true, Conntrack: true, ExhaustedAt: atOffset(0)},
		},
		"with room for two, the third waits": {
			now: newStatus(critical, withCondition(leak, yes), withCondition(table, no)), room: 2, want: "HeadroomCritical LeakSuspected", then: Notified{Level: critical, Leak: true},
		},
		"the last place is for what gets worse": {
			told: Notified{Conntrack: true}, now: newStatus(warning, withCondition(table, yes)), room: 1, want: "HeadroomLow", then: Notified{Level: warning, Conntrack: true},
		},
		"and not for what gets better": {
			told: Notified{Level: critical, Conntrack: true}, now: newStatus(warning, withCondition(table, yes)), room: 1, then: Notified{Level: critical, Conntrack: true},
		},
		"without room only failures are told": {
			now: newStatus(critical, withFailure(0)), room: -1, want: "PortsExhausted", then: Notified{ExhaustedAt: atOffset(0)},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			room := tt.room
			if room == 0 {
				room = 6
			}
			changes, then := FindChanges(tt.told, tt.now, room)
			var reasons []string
			for _, c := range changes {
				reasons = append(reasons, c.Reason)
			}
			if got := strings.Join(reasons, " "); got != tt.want {
				t.Errorf("told %q, want %q", got, tt.want)
			}
			if diff := cmp.Diff(tt.then, then); diff != "" {
				t.Errorf("told then (-want +got):\n%s", diff)
			}
			// What comes back from the annotation is what went there, and no news.
			if again, _ := FindChanges(ParseNotified(then.String()), tt.now, room); room > 2 && len(again) > 0 {
				t.Errorf("told again: %v", again)
			}
		})
	}
}

func TestNothingReportedNeedsNoAnnotation(t *testing.T) {
	if got := (Notified{}).String(); got != "" {
		t.Errorf("%q", got)
	}
	const want = `{"level":"Critical","leak":true,"exhaustedAt":"2026-07-01T12:00:00Z"}`
	if got := (Notified{Level: v1alpha1.LevelCritical, Leak: true, ExhaustedAt: atOffset(0)}).String(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, foreign := range []string{"", "yes", `{"level":7}`, `[]`, `{"level":"Critical","exhaustedAt":"soon"}`} {
		if got := ParseNotified(foreign); got != (Notified{}) {
			t.Errorf("%q is %+v", foreign, got)
		}
	}
}

// withTightestPool is a pool as an agent reports it.
func withTightestPool(s *v1alpha1.PortPressureStatus) {
	s.UsedPercent, s.ExhaustionSeconds = new(int32(81)), new(int64(250))
	s.Cause, s.Advice = v1alpha1.CauseTimeWaitChurn, "Reuse connections."
	s.Tightest = &v1alpha1.Pool{
		Summary: "shop/api-7f → 10.0.0.9:5432", Destination: "10.0.0.9", Port: 5432, Used: 22868, Capacity: 28232,
		Holder: &v1alpha1.Holder{Namespace: "shop", Pod: "api-7f", Container: "api", Process: "api-server"},
	}
}

// newLeakStatus is a tight pool, and a leak for that reason.
func newLeakStatus(reason v1alpha1.Cause) *v1alpha1.PortPressureStatus {
	s := newStatus(v1alpha1.LevelNormal, withTightestPool, withCondition(v1alpha1.ConditionLeakSuspected, metav1.ConditionTrue))
	s.Conditions[0].Reason = string(reason)
	return s
}

func TestFormatNote(t *testing.T) {
	over := func(s *v1alpha1.PortPressureStatus) {
		s.LastPressure = &v1alpha1.Pressure{PeakPercent: 97, Summary: "shop/api-7f → 10.0.0.9:5432", Cause: v1alpha1.CauseTimeWaitChurn, From: *atOffset(-14 * time.Minute), To: atOffset(0)}
	}
	tests := map[string]struct {
		told Notified
		now  *v1alpha1.PortPressureStatus
		name string
		want string
	}{
		"all that is known": {
			now: newStatus(v1alpha1.LevelCritical, withTightestPool), name: "Service shop/db",
			want: "81 % of ports in use (22868/28232): shop/api-7f → 10.0.0.9:5432 (Service shop/db), mainly by shop/api-7f, container api, process api-server. At this rate no port will be free in 4 min. TimeWaitChurn: Reuse connections.",
		},
		"what waits for a restart": {
			now: newStatus(v1alpha1.LevelNormal, withCondition(v1alpha1.ConditionRestartRequired, metav1.ConditionTrue), func(s *v1alpha1.PortPressureStatus) {
				s.Conditions[0].Message = "TcpTimedWaitDelay, MaxUserPort"
			}),
			want: "Restart required to apply: TcpTimedWaitDelay, MaxUserPort. Portreeve does not restart nodes.",
		},
		"better, not well": {
			told: Notified{Level: v1alpha1.LevelCritical}, now: newStatus(v1alpha1.LevelWarning, withTightestPool, func(s *v1alpha1.PortPressureStatus) {
				s.Advice, s.ExhaustionSeconds, s.Tightest.Holder = "", new(int64(0)), nil
			}),
			want: "Below the critical threshold again: 81 % of ports in use (22868/28232): shop/api-7f → 10.0.0.9:5432. No port is free. Cause: TimeWaitChurn.",
		},
		"next to nothing is known": {
			now: newStatus(v1alpha1.LevelWarning, func(s *v1alpha1.PortPressureStatus) { s.UsedPercent = new(int32(60)) }), want: "60 % of ports in use.",
		},
		"it is over": {
			told: Notified{Level: v1alpha1.LevelWarning}, now: newStatus(v1alpha1.LevelNormal, over),
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
		"a leak in another, of which the advice does not speak": {
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
			told: Notified{Conntrack: true}, now: newStatus(v1alpha1.LevelNormal, withCondition(v1alpha1.ConditionConntrackAvailable, metav1.ConditionTrue)),
			want: "conntrack table has free entries again: 31 of 40 sockets.",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			changes, _ := FindChanges(tt.told, tt.now, 6)
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
	for extra := range 4 { // at each offset in a character of three bytes
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
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestFormatEndpoint(t *testing.T) {
	for want, a := range map[string]string{"10.0.0.9:53": "10.0.0.9", "[fd00::9]:53": "fd00::9"} {
		if got := FormatEndpoint(a, 53); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
