package eventlimit_test

import (
	"testing"
	"time"

	"portreeve.io/portreeve/internal/eventlimit"
)

var start = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

func TestABudgetRefillsAfterAnHour(t *testing.T) {
	var b eventlimit.Budget
	if got := b.NextExpiry(); !got.IsZero() {
		t.Errorf("an empty budget expires at %s", got)
	}
	b.Record(start)
	b.Record(start.Add(time.Minute))
	for after, want := range map[time.Duration]int{0: 1, 59 * time.Minute: 1} {
		if got := b.CountRemaining(3, start.Add(after)); got != want {
			t.Errorf("%d remain after %s, want %d", got, after, want)
		}
	}
	if got, want := b.NextExpiry(), start.Add(time.Hour); !got.Equal(want) {
		t.Errorf("the oldest expires at %s, want %s", got, want)
	}
	if got := b.CountRemaining(3, start.Add(time.Hour)); got != 2 {
		t.Errorf("%d remain after an hour, want 2", got)
	}
	if got, want := b.NextExpiry(), start.Add(time.Hour+time.Minute); !got.Equal(want) {
		t.Errorf("the next one expires at %s, want %s", got, want)
	}
	if got := b.CountRemaining(3, start.Add(2*time.Hour)); got != 3 || !b.NextExpiry().IsZero() {
		t.Errorf("%d remain after two hours, and the next expiry is %s", got, b.NextExpiry())
	}
}

func TestTheLastEventIsKeptForWhatGetsWorse(t *testing.T) {
	tests := map[string]struct {
		remaining             int
		deterioration, better bool
	}{
		"two remain":  {2, true, true},
		"one remains": {1, true, false},
		"none remain": {0, false, false},
		"overspent":   {-1, false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := eventlimit.Allows(test.remaining, false); got != test.deterioration {
				t.Errorf("a deterioration is allowed: %t", got)
			}
			if got := eventlimit.Allows(test.remaining, true); got != test.better {
				t.Errorf("an improvement is allowed: %t", got)
			}
		})
	}
}

func TestABudgetWithItsLastPlaceKept(t *testing.T) {
	var b eventlimit.Budget
	for i, want := range []struct{ improvement, deterioration bool }{{true, true}, {true, true}, {false, true}, {false, false}} {
		remaining := b.CountRemaining(3, start.Add(time.Duration(i)*time.Minute))
		if got := eventlimit.Allows(remaining, true); got != want.improvement {
			t.Errorf("after %d: an improvement is allowed: %t", i, got)
		}
		if got := eventlimit.Allows(remaining, false); got != want.deterioration {
			t.Errorf("after %d: a deterioration is allowed: %t", i, got)
		}
		b.Record(start.Add(time.Duration(i) * time.Minute))
	}
	if !eventlimit.Allows(b.CountRemaining(3, start.Add(time.Hour+2*time.Minute)), false) {
		t.Error("nothing is allowed an hour later")
	}
}

func TestFailuresAreReportedAgainAfterTheInterval(t *testing.T) {
	for after, want := range map[time.Duration]bool{0: false, eventlimit.RepeatInterval - 1: false, eventlimit.RepeatInterval: true} {
		if got := eventlimit.IsRepeatDue(start.Add(after), start); got != want {
			t.Errorf("due after %s: %t, want %t", after, got, want)
		}
	}
	if !eventlimit.IsRepeatDue(start, time.Time{}) {
		t.Error("the first failure is not due")
	}
	if eventlimit.IsRepeatDue(time.Time{}, time.Time{}) || eventlimit.IsRepeatDue(time.Time{}, start) {
		t.Error("due without a failure")
	}
}
