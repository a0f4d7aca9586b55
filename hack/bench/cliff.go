package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// cliffUtilizations lists the pool utilizations, in percent, at which connect() is timed.
var cliffUtilizations = []float64{0, 10, 20, 30, 40, 45, 48, 49, 50, 51, 52, 55, 60, 70, 80, 90, 95, 99, 100}

// cliff is the time that connect() takes at each pool utilization.
type cliff struct {
	ports  int
	points []cliffPoint
}

type cliffPoint struct {
	percent float64
	took    []time.Duration // wall clock
	cpu     []time.Duration // of the calling thread
	refused bool            // EADDRNOTAVAIL
}

// formatSection returns the cliff's part of the page.
func (c cliff) formatSection(picture string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n![connect() time by pool utilization](%s)\n\n", picture)
	fmt.Fprintf(&b, "%d connects at each step, %d ports.\n\n", len(c.points[0].took), c.ports)
	b.WriteString("| ports in use | connect() in µs: median | 99 % | CPU time in µs: median | ratio to an empty pool |\n" +
		"|---|---|---|---|---|\n")
	for _, p := range c.points {
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.1f | %.1f |\n", p.formatLabel(),
			quantileMicroseconds(p.took, 0.5), quantileMicroseconds(p.took, 0.99),
			quantileMicroseconds(p.cpu, 0.5), c.cpuRatio(p))
	}
	return b.String()
}

func (p cliffPoint) formatLabel() string {
	name := fmt.Sprintf("%.0f %%", p.percent)
	if p.refused {
		name += ", refused"
	}
	return name
}

// cpuRatio returns the median CPU time at p divided by that of an empty pool. Other load on
// the machine hardly changes it.
func (c cliff) cpuRatio(p cliffPoint) float64 {
	return quantileMicroseconds(p.cpu, 0.5) / quantileMicroseconds(c.points[0].cpu, 0.5)
}

// quantileMicroseconds returns a quantile in microseconds.
func quantileMicroseconds(took []time.Duration, q float64) float64 {
	s := slices.Sorted(slices.Values(took))
	return s[min(len(s)-1, int(q*float64(len(s))))].Seconds() * 1e6
}
