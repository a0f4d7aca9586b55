package rollout

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // images have no time zone database

	"github.com/robfig/cron/v3"

	"portreeve.io/portreeve/api/v1alpha1"
)

// windowState describes whether a window of a rollout is open.
type windowState struct {
	open bool
	// opensAt is when the next window opens, zero for never.
	opensAt time.Time
	// problem explains why a window is invalid. The API server cannot check all of it.
	problem string
}

// findWindow returns the state of the windows. Without any, it is always open.
func findWindow(windows []v1alpha1.RolloutWindow, now time.Time) windowState {
	if len(windows) == 0 {
		return windowState{open: true}
	}
	var state windowState
	for i, w := range windows {
		schedule, err := parseWindow(w)
		if err != nil {
			return windowState{problem: fmt.Sprintf("rollout.windows[%d].%v", i, err)}
		}
		length := time.Duration(w.DurationSeconds) * time.Second
		if start := schedule.Next(now.Add(-length)); !start.IsZero() && !start.After(now) {
			state.open = true
		}
		if next := schedule.Next(now); state.opensAt.IsZero() || !next.IsZero() && next.Before(state.opensAt) {
			state.opensAt = next
		}
	}
	return state
}

func parseWindow(w v1alpha1.RolloutWindow) (cron.Schedule, error) {
	zone, err := time.LoadLocation(cmp.Or(w.TimeZone, "UTC"))
	if err != nil || w.TimeZone == "Local" {
		return nil, fmt.Errorf("timeZone %q is unknown: use a name of the IANA database such as Europe/Berlin", w.TimeZone)
	}
	const fields = cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow
	if strings.Contains(w.Start, "=") {
		return nil, fmt.Errorf("start %q contains a time zone: use timeZone", w.Start)
	}
	schedule, err := cron.NewParser(fields).Parse(w.Start)
	if err != nil {
		return nil, fmt.Errorf("start %q is not a cron expression (%w): use five fields such as \"0 22 * * 1-5\"", w.Start, err)
	}
	if s, ok := schedule.(*cron.SpecSchedule); ok {
		s.Location = zone
	}
	return schedule, nil
}
