package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// powerCycleNode kills a node like a power failure, and starts it again with the kernel's
// default values and the files that Portreeve wrote to disk.
func powerCycleNode(t *testing.T, c cluster) {
	c.applyFile(t, "back-tuning.yaml")
	c.waitForPhase(t, "back", time.Minute, v1alpha1.RolloutComplete)
	c.runProgram(t, "", "node.sh", "kill", "b")
	c.runProgram(t, "", "node.sh", "start", "b")
	if err := c.nodeNetwork(t, "b").checkSysctl(t, finTimeout, "60"); err != nil {
		t.Fatalf("the node has not lost what was set: %v", err)
	}
	waitFor(t, 2*time.Minute, "the node has its setting again", func() error { return c.nodeNetwork(t, "b").checkSysctl(t, finTimeout, "44") })
	c.waitForStatus(t, "b", "and the agent says so", areAllApplied)
	c.runKubectl(t, "delete", "nodetuning", "back", "--timeout=60s")
	if err := c.nodeNetwork(t, "b").checkSysctl(t, finTimeout, "60"); err != nil {
		t.Error(err)
	}
}

func removeNode(t *testing.T, c cluster) {
	c.runProgram(t, "", "node.sh", "down", "b")
	waitFor(t, time.Minute, "its PortPressure is gone", func() error {
		out := c.runKubectl(t, "get", "portpressures", "--output=name")
		if strings.Contains(out, "/b\n") {
			return fmt.Errorf("there are %q", out)
		}
		return nil
	})
}
