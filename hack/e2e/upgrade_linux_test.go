package e2e

import (
	"fmt"
	"slices"
	"testing"

	"portreeve.io/portreeve/api/v1alpha1"
)

// nextVersion is the tag of the agent's second image, and the version that it reports.
const nextVersion = "e2e-next"

// upgrade replaces the agents by those of another image: what they hold is held all
// along.
func upgrade(t *testing.T, c cluster) {
	steadily(t, c.ranges(t, nodes...), func() {
		c.run(t, "", "helm", "upgrade", "portreeve", c.chart(), "--namespace", system,
			"--reuse-values", "--set", "agent.image.tag="+nextVersion, "--wait", "--timeout", "2m")
		for _, node := range nodes {
			c.becomes(t, node, fmt.Sprintf("the new agent of node %s holds everything", node), func(s v1alpha1.PortPressureStatus) bool {
				return s.AgentVersion == nextVersion && allApplied(s)
			})
		}
	})
}

func allApplied(s v1alpha1.PortPressureStatus) bool {
	return len(s.Settings) > 0 && !slices.ContainsFunc(s.Settings, func(s v1alpha1.SettingStatus) bool { return s.State != v1alpha1.SettingApplied })
}
