package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"portreeve.io/portreeve/internal/text"
)

// benchmarkFigures are the results of one run.
type benchmarkFigures struct {
	nodes                     int
	normalSize, pressureSize  int // bytes of a status as JSON
	created, written          time.Duration
	settledMemory, peakMemory int64 // the controller's resident memory, in bytes
	hasSettled                bool  // settledMemory was stable
	burst                     burstFigures
	lost                      int
}

// burstFigures are the results of many level changes at once.
type burstFigures struct {
	changes               int
	duration, lastWritten time.Duration
	latencies             []time.Duration // of each write
	throttled             int             // answers 429
}

// The goals.
const (
	goalCreated = 120 * time.Second
	goalSettled = 100 << 20
	goalBurst   = 15 * time.Second
)

func (f benchmarkFigures) formatTable() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s agents in one process, with the real agent's writer, watch and RBAC; one API server, one controller. "+
		"A status as JSON has %d bytes at the level Normal, %d under pressure.\n\n", text.FormatThousands(f.nodes), f.normalSize, f.pressureSize)
	b.WriteString("| what | figure | goal |\n|---|---|---|\n")
	row := func(what, figure, goal string) { fmt.Fprintf(&b, "| %s | %s | %s |\n", what, figure, goal) }
	row("all PortPressures created, from the controller's start", formatSeconds(f.created), "≤ "+formatSeconds(goalCreated))
	row("first status of every agent written, from the controller's start", formatSeconds(f.written), "–")
	row("controller's resident memory, stable", formatMiB(f.settledMemory), "≤ "+formatMiB(goalSettled))
	row("controller's resident memory, peak", formatMiB(f.peakMemory), "–")
	u := f.burst
	row(fmt.Sprintf("%s level changes within %.0f s: time until the last one is written", text.FormatThousands(u.changes), u.duration.Seconds()), formatSeconds(u.lastWritten), "≤ "+formatSeconds(goalBurst))
	row("level changes missing from the API server afterwards", text.FormatThousands(f.lost), "0")
	row("time from a level change until its write is answered: p50, p99", formatMilliseconds(computePercentile(u.latencies, 50))+", "+formatMilliseconds(computePercentile(u.latencies, 99)), "–")
	row("writes throttled by the API server (429)", text.FormatThousands(u.throttled), "–")
	return b.String()
}

// listMissedGoals returns one line for each goal that was missed.
func (f benchmarkFigures) listMissedGoals() (lines []string) {
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if f.created > goalCreated {
		add("all PortPressures were created after %s, the goal is %s", formatSeconds(f.created), formatSeconds(goalCreated))
	}
	if f.settledMemory > goalSettled {
		add("the controller's memory is %s, the goal is %s", formatMiB(f.settledMemory), formatMiB(goalSettled))
	}
	if !f.hasSettled {
		add("the controller's memory did not settle")
	}
	if f.burst.lastWritten > goalBurst {
		add("the burst was written after %s, the goal is %s", formatSeconds(f.burst.lastWritten), formatSeconds(goalBurst))
	}
	if n := f.burst.changes - len(f.burst.latencies); n != 0 {
		add("%d writes of the burst were not answered", n)
	}
	if f.lost > 0 {
		add("%d level changes were lost", f.lost)
	}
	return lines
}

// computePercentile returns the least duration that p percent don't exceed, or 0 if
// there are none.
func computePercentile(ds []time.Duration, p int) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(ds))
	return s[max(0, (len(s)*p+99)/100-1)]
}

func formatSeconds(d time.Duration) string      { return fmt.Sprintf("%.1f s", d.Seconds()) }
func formatMilliseconds(d time.Duration) string { return fmt.Sprintf("%.0f ms", d.Seconds()*1e3) }
func formatMiB(bytes int64) string              { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }
