package portpressure

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/transition"
)

// endpoint is a destination address and port.
type endpoint struct {
	destination string
	port        int32
}

// fleetSummary counts the nodes of a cluster by state.
type fleetSummary struct {
	nodes     int
	agents    map[string]int                      // by the state of the agent
	levels    map[v1alpha1.Level]int              // every level
	endpoints map[v1alpha1.Level]map[endpoint]int // nodes by their tightest pool's destination
}

// The states of an agent, beside v1alpha1.AgentSilent and v1alpha1.AgentNone.
const (
	agentReporting = "reporting"
	agentStarting  = "starting"
)

// levelUnknown is the level of a node whose agent is silent, absent or starting, or has
// measured nothing.
const levelUnknown v1alpha1.Level = "unknown"

// summarizeFleet counts nodes by state and level. Every state and level has a count, also 0.
func summarizeFleet(all []v1alpha1.PortPressure) fleetSummary {
	c := fleetSummary{
		nodes:     len(all),
		agents:    map[string]int{agentReporting: 0, agentStarting: 0, v1alpha1.AgentSilent: 0, v1alpha1.AgentNone: 0},
		levels:    map[v1alpha1.Level]int{v1alpha1.LevelNormal: 0, v1alpha1.LevelWarning: 0, v1alpha1.LevelCritical: 0, levelUnknown: 0},
		endpoints: map[v1alpha1.Level]map[endpoint]int{},
	}
	for i := range all {
		c.addNode(&all[i])
	}
	return c
}

func (c *fleetSummary) addNode(p *v1alpha1.PortPressure) {
	agent := classifyAgent(p)
	c.agents[agent]++
	level := levelUnknown
	if _, known := c.levels[p.Status.Level]; known && agent == agentReporting {
		level = p.Status.Level
	}
	c.levels[level]++
	if t := p.Status.Tightest; isUnderPressure(level) && t != nil && t.Destination != "" {
		if c.endpoints[level] == nil {
			c.endpoints[level] = map[endpoint]int{}
		}
		c.endpoints[level][endpoint{t.Destination, t.Port}]++
	}
}

// classifyAgent returns the state of the node's agent.
func classifyAgent(p *v1alpha1.PortPressure) string {
	switch label := p.Labels[v1alpha1.LabelAgent]; {
	case label == v1alpha1.AgentSilent || label == v1alpha1.AgentNone:
		return label
	case p.Status.ObservedAt == nil:
		return agentStarting
	}
	return agentReporting
}

func isUnderPressure(l v1alpha1.Level) bool {
	return l == v1alpha1.LevelWarning || l == v1alpha1.LevelCritical
}

// findWorstLevel returns the worst level of any node, at least Normal.
func (c fleetSummary) findWorstLevel() v1alpha1.Level {
	for _, l := range []v1alpha1.Level{v1alpha1.LevelCritical, v1alpha1.LevelWarning} {
		if c.levels[l] > 0 {
			return l
		}
	}
	return v1alpha1.LevelNormal
}

// listCommonEndpoints returns up to limit destinations of the nodes with these levels, the
// most common first.
func (c fleetSummary) listCommonEndpoints(limit int, levels ...v1alpha1.Level) []endpoint {
	count := map[endpoint]int{}
	for _, l := range levels {
		for p, n := range c.endpoints[l] {
			count[p] += n
		}
	}
	var list []endpoint
	for p := range count {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b endpoint) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a.destination, b.destination), cmp.Compare(a.port, b.port))
	})
	return list[:min(limit, len(list))]
}

// isHealthy reports whether no node is under pressure and no agent is silent.
func (c fleetSummary) isHealthy() bool {
	return c.findWorstLevel() == v1alpha1.LevelNormal && c.agents[v1alpha1.AgentSilent] == 0
}

// findMainEndpoint returns the most common destination among nodes of the worst level, and
// the zero value if there is none.
func (c fleetSummary) findMainEndpoint() endpoint {
	for _, p := range c.listCommonEndpoints(1, c.findWorstLevel()) {
		return p
	}
	return endpoint{}
}

// formatNote returns the summary as an Event note. name is the main endpoint's Service or
// pod, if it has one.
func (c fleetSummary) formatNote(name string) string {
	if c.isHealthy() {
		return fmt.Sprintf("All %d nodes are below the warning threshold.", c.nodes)
	}
	var parts []string
	add := func(n int, state string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	add(c.levels[v1alpha1.LevelCritical], string(v1alpha1.LevelCritical))
	add(c.levels[v1alpha1.LevelWarning], string(v1alpha1.LevelWarning))
	add(c.agents[v1alpha1.AgentSilent], "with a silent agent")
	line := fmt.Sprintf("Of %d nodes, %s", c.nodes, strings.Join(parts, ", "))
	if t := c.findMainEndpoint(); t.destination != "" {
		line += fmt.Sprintf("; %d of the %s nodes connect to %s", c.endpoints[c.findWorstLevel()][t], c.findWorstLevel(), transition.FormatEndpoint(t.destination, t.port))
		if name != "" {
			line += " (" + name + ")"
		}
	}
	return line + ". List them with: kubectl get portpressures"
}
