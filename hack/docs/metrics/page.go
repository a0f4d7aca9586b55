package main

import (
	"cmp"
	"fmt"
	"strings"

	"portreeve.io/portreeve/agent/metrics"
	"portreeve.io/portreeve/controllers"
)

const pageHead = `# Metrics

<!-- Made by "go run ./hack/docs/metrics"; change agent/metrics/reference.go and
controllers/*/metrics.go instead. -->

Both programs serve ` + "`/metrics`" + `: [the agent](#the-agent) of each node, with the figures, and
[the controller](#the-controller), with the view of the cluster.

## The agent

The agent serves these at ` + "`/metrics`" + `. Ratios are 0 to 1, times are seconds. What could not
be read has no series: it is never 0. A pool or a network that is gone has none either, from
the next sample on.

An agent serves at most 60 series while its node's level is Normal, and at most 400 under
pressure, whatever runs there.

The labels ` + "`namespace` and `pod`" + ` name the pod that a network belongs to, not the agent's own
pod: scrape with ` + "`honorLabels: true`" + ` (` + "`honor_labels`" + `), or find them as
` + "`exported_namespace` and `exported_pod`" + `. They are empty for networks that are no pod's, or
whose pod's name is not known. ` + "`network`" + ` is the name that the PortPressure uses.
`

const controllerHead = `
## The controller

The controller serves these beside those of its Go process and of controller-runtime, all
gauges. They are the leader's: a replica that stands by has none. Its labels
` + "`namespace` and `name`" + ` are those of the destination.

| metric | labels | what it is | absent when |
|---|---|---|---|
`

// renderPage is docs/reference/metrics.md.
func renderPage() string {
	var b strings.Builder
	b.WriteString(pageHead)
	for _, part := range []struct {
		title string
		has   func(name string) bool
	}{
		{"What is measured", func(name string) bool { return strings.HasPrefix(name, "portreeve_") && !isAgentMetric(name) }},
		{"How the agent fares", isAgentMetric},
		{"Its process", func(name string) bool { return strings.HasPrefix(name, "process_") }},
	} {
		fmt.Fprintf(&b, "\n### %s\n\n| metric | type | labels | what it is | absent when |\n|---|---|---|---|---|\n", part.title)
		for _, f := range metrics.ListFamilies() {
			if part.has(f.Name) {
				b.WriteString(renderRow(f))
			}
		}
	}
	b.WriteString(controllerHead)
	for _, f := range controllers.Families() {
		fmt.Fprintf(&b, "| %#q | %s | %s | %s |\n", f.Name, strings.Join(f.Labels, ", "), escapeCell(f.Help), escapeCell(f.Absent))
	}
	return b.String()
}

func isAgentMetric(name string) bool { return strings.HasPrefix(name, "portreeve_agent_") }

func renderRow(f metrics.Family) string {
	return fmt.Sprintf("| %#q | %s | %s | %s | %s |\n",
		f.Name, f.Type, strings.Join(f.Labels, ", "), escapeCell(f.Help), escapeCell(cmp.Or(f.Absent, "never")))
}

func escapeCell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
