package e2e

import (
	"fmt"
	"slices"
	"testing"

	"portreeve.io/portreeve/api/v1alpha1"
)

// nextVersion is the tag of the agent's second image, and the version that it reports.
const nextVersion = "e2e-next"

// upgradeAgents replaces the agents by those of another image, and checks that settings keep
// their values throughout.
func upgradeAgents(t *testing.T, c cluster) {
	requireUnchanged(t, c.listWideRanges(t, nodes...), func() {
		c.runProgram(t, "", "helm", "upgrade", "portreeve", c.chartPath(), "--namespace", system,
			"--reuse-values", "--set", "agent.image.tag="+nextVersion, "--wait", "--timeout", "2m")
		for _, node := range nodes {
			c.waitForStatus(t, node, fmt.Sprintf("the new agent of node %s has applied all settings", node), func(s v1alpha1.PortPressureStatus) bool {
				return s.AgentVersion == nextVersion && areAllApplied(s)
			})
		}
	})
}

// areAllApplied reports whether there are settings and all of them are applied.
func areAllApplied(s v1alpha1.PortPressureStatus) bool {
	return len(s.Settings) > 0 && !slices.ContainsFunc(s.Settings, func(s v1alpha1.SettingStatus) bool { return s.State != v1alpha1.SettingApplied })
}
