package portpressure

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/transition"
)

// place is where pools lead to.
type place struct {
	destination string
	port        int32
}

// census is how the nodes of a cluster are.
type census struct {
	nodes  int
	agents map[string]int         // by what their agent does
	levels map[v1alpha1.Level]int // of those whose agent reports, every level
	places map[v1alpha1.Level]map[place]int
}

// What the agents do beside being silent or none.
const (
	agentReporting = "reporting"
	agentStarting  = "starting"
)

// levelUnknown is that of a node whose agent doesn't say: silent, none, starting, or
// with nothing measured.
const levelUnknown v1alpha1.Level = "unknown"

// take counts every state and level, zero included.
func take(all []v1alpha1.PortPressure) census {
	c := census{
		nodes:  len(all),
		agents: map[string]int{agentReporting: 0, agentStarting: 0, v1alpha1.AgentSilent: 0, v1alpha1.AgentNone: 0},
		levels: map[v1alpha1.Level]int{v1alpha1.LevelNormal: 0, v1alpha1.LevelWarning: 0, v1alpha1.LevelCritical: 0, levelUnknown: 0},
		places: map[v1alpha1.Level]map[place]int{},
	}
	for i := range all {
		c.add(&all[i])
	}
	return c
}

func (c *census) add(p *v1alpha1.PortPressure) {
	agent := agentOf(p)
	c.agents[agent]++
	level := levelUnknown
	if _, known := c.levels[p.Status.Level]; known && agent == agentReporting {
		level = p.Status.Level
	}
	c.levels[level]++
	if t := p.Status.Tightest; pressed(level) && t != nil && t.Destination != "" {
		if c.places[level] == nil {
			c.places[level] = map[place]int{}
		}
		c.places[level][place{t.Destination, t.Port}]++
	}
}

func agentOf(p *v1alpha1.PortPressure) string {
	switch label := p.Labels[v1alpha1.LabelAgent]; {
	case label == v1alpha1.AgentSilent || label == v1alpha1.AgentNone:
		return label
	case p.Status.ObservedAt == nil:
		return agentStarting
	}
	return agentReporting
}

func pressed(l v1alpha1.Level) bool { return l == v1alpha1.LevelWarning || l == v1alpha1.LevelCritical }

// worst is the worst level that a node has: Normal where none is pressed.
func (c census) worst() v1alpha1.Level {
	for _, l := range []v1alpha1.Level{v1alpha1.LevelCritical, v1alpha1.LevelWarning} {
		if c.levels[l] > 0 {
			return l
		}
	}
	return v1alpha1.LevelNormal
}

// commonest are the places that most nodes of the level lead to, at most limit.
func (c census) commonest(limit int, levels ...v1alpha1.Level) []place {
	count := map[place]int{}
	for _, l := range levels {
		for p, n := range c.places[l] {
			count[p] += n
		}
	}
	var list []place
	for p := range count {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b place) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a.destination, b.destination), cmp.Compare(a.port, b.port))
	})
	return list[:min(limit, len(list))]
}

// calm is no node that is pressed or silent.
func (c census) calm() bool {
	return c.worst() == v1alpha1.LevelNormal && c.agents[v1alpha1.AgentSilent] == 0
}

// target is where most nodes of the worst level lead to; the zero value for nowhere.
func (c census) target() place {
	for _, p := range c.commonest(1, c.worst()) {
		return p
	}
	return place{}
}

// note says it in a sentence. name is what the cluster calls the target.
func (c census) note(name string) string {
	if c.calm() {
		return fmt.Sprintf("none of %d nodes is past the warning line", c.nodes)
	}
	var parts []string
	add := func(n int, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(c.levels[v1alpha1.LevelCritical], string(v1alpha1.LevelCritical))
	add(c.levels[v1alpha1.LevelWarning], string(v1alpha1.LevelWarning))
	add(c.agents[v1alpha1.AgentSilent], "with a silent agent")
	line := fmt.Sprintf("of %d nodes, %s", c.nodes, strings.Join(parts, ", "))
	if t := c.target(); t.destination != "" {
		line += fmt.Sprintf("; %d of the %s ones towards %s", c.places[c.worst()][t], c.worst(), transition.Address(t.destination, t.port))
		if name != "" {
			line += " (" + name + ")"
		}
	}
	return line + ": kubectl get portpressures names them"
}
