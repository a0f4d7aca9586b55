package main

import (
	"fmt"
	"strings"
	"time"

	"portreeve.io/portreeve/hack/docs/part"
)

// The parts of the page that the bench writes.
var (
	samples = part.Part{Name: "bench", Command: "make bench"}
	fills   = part.Part{Name: "cliff", Command: "make bench-cliff"}
)

// result is one scenario's figures, a row for each subject in the order measured.
type result struct {
	scenario scenario
	rows     []row
}

type row struct {
	name   string
	cpu    []time.Duration // of each round
	memory memory
}

// goal is a ratio that is to be kept.
type goal struct {
	a, b string // names of rows
	most float64
}

// section is a scenario's part of the page.
func (r result) section() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n%s %d rounds.\n\n", r.scenario.title, r.scenario.text, len(r.rows[0].cpu))
	b.WriteString("| one sample by | CPU time in ms: median (least–most) | peak memory in MiB |\n|---|---|---|\n")
	for _, row := range r.rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", row.name, milliseconds(row.cpu).format(1), row.memory)
	}
	b.WriteString("\n| ratio, paired | median (least–most) | goal |\n|---|---|---|\n")
	for _, g := range r.scenario.goals {
		a, aOK := r.row(g.a)
		o, oOK := r.row(g.b)
		if !aOK || !oOK {
			continue
		}
		fmt.Fprintf(&b, "| %s ÷ %s | %s | %s |\n", g.a, g.b, paired(a.cpu, o.cpu).format(3), g.text())
	}
	if w := r.scenario.watch; w != nil {
		fmt.Fprintf(&b, "\n`portreeve-agent report --watch` takes %s MiB resident, %s MiB at its peak, and %s MiB of BPF maps.\n",
			mib(w.resident), mib(w.peak), mib(w.maps))
	}
	return b.String()
}

func (g goal) text() string {
	if g.most == 0 {
		return "–"
	}
	return fmt.Sprintf("≤ %.2f", g.most)
}

// missed are the goals whose median isn't kept, one line each.
func (r result) missed() []string {
	var lines []string
	for _, g := range r.scenario.goals {
		a, aOK := r.row(g.a)
		o, oOK := r.row(g.b)
		if g.most == 0 || !aOK || !oOK {
			continue
		}
		if got := paired(a.cpu, o.cpu).median; got > g.most {
			lines = append(lines, fmt.Sprintf("%s: %s ÷ %s is %.3f, the goal is %.2f", r.scenario.title, g.a, g.b, got, g.most))
		}
	}
	return lines
}

func (r result) row(name string) (row, bool) {
	for _, row := range r.rows {
		if row.name == name {
			return row, true
		}
	}
	return row{}, false
}
