package main

import (
	"fmt"
	"strings"
	"time"

	"portreeve.io/portreeve/hack/docs/part"
)

// The generated parts of docs/benchmarks.md.
var (
	samplesPart = part.Part{Name: "bench", Command: "make bench"}
	cliffPart   = part.Part{Name: "cliff", Command: "make bench-cliff"}
)

// result is the measurements of one scenario, with a row for each subject in the order
// measured.
type result struct {
	scenario scenario
	rows     []subjectRow
}

type subjectRow struct {
	name   string
	cpu    []time.Duration // of each round
	memory memory
}

// goal is a maximum ratio between two subjects; 0 means that the ratio is only reported.
type goal struct {
	a, b     string // names of rows
	maxRatio float64
}

// formatSection returns a scenario's part of the page.
func (r result) formatSection() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n%s %d rounds.\n\n", r.scenario.title, r.scenario.text, len(r.rows[0].cpu))
	b.WriteString("| one sample by | CPU time in ms: median (min–max) | peak memory in MiB |\n|---|---|---|\n")
	for _, row := range r.rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", row.name, computeMilliseconds(row.cpu).format(1), row.memory)
	}
	b.WriteString("\n| ratio, paired | median (min–max) | goal |\n|---|---|---|\n")
	for _, g := range r.scenario.goals {
		a, aOK := r.findRow(g.a)
		o, oOK := r.findRow(g.b)
		if !aOK || !oOK {
			continue
		}
		fmt.Fprintf(&b, "| %s ÷ %s | %s | %s |\n", g.a, g.b, pairedRatios(a.cpu, o.cpu).format(3), g.formatLimit())
	}
	if w := r.scenario.watchMemory; w != nil {
		fmt.Fprintf(&b, "\n`portreeve-agent report --watch` uses %s MiB resident, %s MiB at its peak, and %s MiB "+
			"of BPF maps.\n", formatMiB(w.resident), formatMiB(w.peak), formatMiB(w.maps))
	}
	return b.String()
}

func (g goal) formatLimit() string {
	if g.maxRatio == 0 {
		return "–"
	}
	return fmt.Sprintf("≤ %.2f", g.maxRatio)
}

// listMissedGoals returns a line for each goal that the median ratio exceeds.
func (r result) listMissedGoals() []string {
	var lines []string
	for _, g := range r.scenario.goals {
		a, aOK := r.findRow(g.a)
		o, oOK := r.findRow(g.b)
		if g.maxRatio == 0 || !aOK || !oOK {
			continue
		}
		if got := pairedRatios(a.cpu, o.cpu).median; got > g.maxRatio {
			lines = append(lines, fmt.Sprintf("%s: %s ÷ %s is %.3f, the goal is %.2f",
				r.scenario.title, g.a, g.b, got, g.maxRatio))
		}
	}
	return lines
}

func (r result) findRow(name string) (subjectRow, bool) {
	for _, row := range r.rows {
		if row.name == name {
			return row, true
		}
	}
	return subjectRow{}, false
}
