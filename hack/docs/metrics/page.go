package main

import (
	"cmp"
	"fmt"
	"strings"

	"portreeve.io/portreeve/agent/metrics"
	"portreeve.io/portreeve/controllers"
	"portreeve.io/portreeve/hack/docs/part"
)

const pageHead = `# Metrics

<!-- Made by "go run ./hack/docs/metrics"; change agent/metrics/reference.go and
controllers/*/metrics.go instead. -->

Both programs serve ` + "`/metrics`" + `: [the agent](#the-agent) on each node, with the measurements, and
[the controller](#the-controller), with the state of the cluster.

## The agent

Ratios are 0 to 1, times are in seconds. A value that could not be read has no series; it is
never reported as 0. The series of a pool or network that no longer exists end with the next
sample.

An agent serves at most 60 series while its node's level is Normal, and at most 400 under
pressure, whatever runs on the node.

The labels ` + "`namespace` and `pod`" + ` are those of the pod to which a network belongs, not of the
agent's own pod. Scrape with ` + "`honorLabels: true`" + ` (` + "`honor_labels`" + `); otherwise they become
` + "`exported_namespace` and `exported_pod`" + `. They are empty for networks that belong to no pod, or
to a pod whose name is not known. ` + "`network`" + ` is the network's name in the PortPressure.
`

const controllerHead = `
## The controller

The controller serves these gauges in addition to the metrics of its Go process and of
controller-runtime. Only the leader has them. The labels ` + "`namespace` and `name`" + ` are those of
the destination.

| metric | labels | description | absent when |
|---|---|---|---|
`

// renderPage returns the contents of docs/reference/metrics.md.
func renderPage() string {
	var b strings.Builder
	b.WriteString(pageHead)
	for _, part := range []struct {
		title string
		has   func(name string) bool
	}{
		{"Measurements", func(name string) bool { return strings.HasPrefix(name, "portreeve_") && !isAgentMetric(name) }},
		{"About the agent", isAgentMetric},
		{"The agent's process", func(name string) bool { return strings.HasPrefix(name, "process_") }},
	} {
		fmt.Fprintf(&b, "\n### %s\n\n| metric | type | labels | description | absent when |\n|---|---|---|---|---|\n", part.title)
		for _, f := range metrics.ListFamilies() {
			if part.has(f.Name) {
				b.WriteString(renderRow(f))
			}
		}
	}
	b.WriteString(controllerHead)
	for _, f := range controllers.ListFamilies() {
		fmt.Fprintf(&b, "| %#q | %s | %s | %s |\n", f.Name, strings.Join(f.Labels, ", "), part.EscapeCell(f.Help), part.EscapeCell(f.Absent))
	}
	return b.String()
}

func isAgentMetric(name string) bool { return strings.HasPrefix(name, "portreeve_agent_") }

func renderRow(f metrics.Family) string {
	return fmt.Sprintf("| %#q | %s | %s | %s | %s |\n",
		f.Name, f.Type, strings.Join(f.Labels, ", "), part.EscapeCell(f.Help), part.EscapeCell(cmp.Or(f.Absent, "never")))
}
