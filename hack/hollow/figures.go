package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"portreeve.io/portreeve/internal/text"
)

// benchmarkFigures are those of one run.
type benchmarkFigures struct {
	nodes                     int
	normalSize, pressureSize  int // bytes of a status, as JSON
	created, written          time.Duration
	settledMemory, peakMemory int64 // the controller's resident memory, in bytes
	hasSettled                bool  // that settled did settle
	burst                     burstFigures
	lost                      int
}

// burstFigures is many level changes at once.
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
	fmt.Fprintf(&b, "%s agents in one process, with the real agent's writer and watch and its rights; one API server, one controller. "+
		"A calm status has %d bytes as JSON, one under pressure %d.\n\n", text.FormatThousands(f.nodes), f.normalSize, f.pressureSize)
	b.WriteString("| what | figure | goal |\n|---|---|---|\n")
	row := func(what, figure, goal string) { fmt.Fprintf(&b, "| %s | %s | %s |\n", what, figure, goal) }
	row("all PortPressures created, from the controller's start", formatSeconds(f.created), "≤ "+formatSeconds(goalCreated))
	row("every agent's first status written, from the same", formatSeconds(f.written), "–")
	row("controller's resident memory, settled", formatMiB(f.settledMemory), "≤ "+formatMiB(goalSettled))
	row("the same at its peak", formatMiB(f.peakMemory), "–")
	u := f.burst
	row(fmt.Sprintf("%s level changes within %.0f s: the last one written after", text.FormatThousands(u.changes), u.duration.Seconds()), formatSeconds(u.lastWritten), "≤ "+formatSeconds(goalBurst))
	row("of these lost, by what the API server has afterwards", text.FormatThousands(f.lost), "0")
	row("from a level's change to its write's answer: p50, p99", formatMilliseconds(computePercentile(u.latencies, 50))+", "+formatMilliseconds(computePercentile(u.latencies, 99)), "–")
	row("writes that the API server put off (429)", text.FormatThousands(u.throttled), "–")
	return b.String()
}

// listMissedGoals are the goals that aren't kept, one line each.
func (f benchmarkFigures) listMissedGoals() (lines []string) {
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if f.created > goalCreated {
		add("all were created after %s, the goal is %s", formatSeconds(f.created), formatSeconds(goalCreated))
	}
	if f.settledMemory > goalSettled {
		add("the controller settled at %s, the goal is %s", formatMiB(f.settledMemory), formatMiB(goalSettled))
	}
	if !f.hasSettled {
		add("the controller's memory did not settle")
	}
	if f.burst.lastWritten > goalBurst {
		add("the burst was handled after %s, the goal is %s", formatSeconds(f.burst.lastWritten), formatSeconds(goalBurst))
	}
	if n := f.burst.changes - len(f.burst.latencies); n != 0 {
		add("%d of the burst's writes were not answered", n)
	}
	if f.lost > 0 {
		add("%d level changes were lost", f.lost)
	}
	return lines
}

// computePercentile is the least figure that p percent of all don't exceed, or 0 of none.
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
