package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// figures are those of one run.
type figures struct {
	nodes            int
	calm, pressed    int // bytes of a status, as JSON
	created, written time.Duration
	settled, peak    int64 // the controller's resident memory, in bytes
	stable           bool  // that settled did settle
	burst            burst
	lost             int
}

// burst is many level changes at once.
type burst struct {
	changes       int
	over, handled time.Duration
	took          []time.Duration // of each write
	throttled     int             // answers 429
}

// The goals.
const (
	goalCreated = 120 * time.Second
	goalSettled = 100 << 20
	goalHandled = 15 * time.Second
)

func (f figures) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s agents in one process, with the real agent's writer and watch and its rights; one API server, one controller. "+
		"A calm status has %d bytes as JSON, one under pressure %d.\n\n", thousands(f.nodes), f.calm, f.pressed)
	b.WriteString("| what | figure | goal |\n|---|---|---|\n")
	row := func(what, figure, goal string) { fmt.Fprintf(&b, "| %s | %s | %s |\n", what, figure, goal) }
	row("all PortPressures created, from the controller's start", seconds(f.created), "≤ "+seconds(goalCreated))
	row("every agent's first status written, from the same", seconds(f.written), "–")
	row("controller's resident memory, settled", mib(f.settled), "≤ "+mib(goalSettled))
	row("the same at its peak", mib(f.peak), "–")
	u := f.burst
	row(fmt.Sprintf("%s level changes within %.0f s: the last one written after", thousands(u.changes), u.over.Seconds()), seconds(u.handled), "≤ "+seconds(goalHandled))
	row("of these lost, by what the API server has afterwards", thousands(f.lost), "0")
	row("from a level's change to its write's answer: p50, p99", milliseconds(percentile(u.took, 50))+", "+milliseconds(percentile(u.took, 99)), "–")
	row("writes that the API server put off (429)", thousands(u.throttled), "–")
	return b.String()
}

// missed are the goals that aren't kept, one line each.
func (f figures) missed() (lines []string) {
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if f.created > goalCreated {
		add("all were created after %s, the goal is %s", seconds(f.created), seconds(goalCreated))
	}
	if f.settled > goalSettled {
		add("the controller settled at %s, the goal is %s", mib(f.settled), mib(goalSettled))
	}
	if !f.stable {
		add("the controller's memory did not settle")
	}
	if f.burst.handled > goalHandled {
		add("the burst was handled after %s, the goal is %s", seconds(f.burst.handled), seconds(goalHandled))
	}
	if n := f.burst.changes - len(f.burst.took); n != 0 {
		add("%d of the burst's writes were not answered", n)
	}
	if f.lost > 0 {
		add("%d level changes were lost", f.lost)
	}
	return lines
}

// percentile is the least figure that p percent of all don't exceed, or 0 of none.
func percentile(ds []time.Duration, p int) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(ds))
	return s[max(0, (len(s)*p+99)/100-1)]
}

func seconds(d time.Duration) string      { return fmt.Sprintf("%.1f s", d.Seconds()) }
func milliseconds(d time.Duration) string { return fmt.Sprintf("%.0f ms", d.Seconds()*1e3) }
func mib(bytes int64) string              { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }

// thousands is n as in 5,000.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
