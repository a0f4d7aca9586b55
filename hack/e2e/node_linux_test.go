package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// nodeComesBack kills a node as a power failure does, and starts it again: with a
// kernel's own values, and what Portreeve wrote to the disk.
func nodeComesBack(t *testing.T, c cluster) {
	c.apply(t, "back-tuning.yaml")
	c.phase(t, "back", time.Minute, v1alpha1.RolloutComplete)
	c.run(t, "", "node.sh", "kill", "b")
	c.run(t, "", "node.sh", "start", "b")
	if err := c.host(t, "b").is(t, finTimeout, "60"); err != nil {
		t.Fatalf("the node has not lost what was set: %v", err)
	}
	within(t, 2*time.Minute, "the node has its setting again", func() error { return c.host(t, "b").is(t, finTimeout, "44") })
	c.becomes(t, "b", "and the agent says so", allApplied)
	c.kubectl(t, "delete", "nodetuning", "back", "--timeout=60s")
	if err := c.host(t, "b").is(t, finTimeout, "60"); err != nil {
		t.Error(err)
	}
}

func nodeGoes(t *testing.T, c cluster) {
	c.run(t, "", "node.sh", "down", "b")
	within(t, time.Minute, "its PortPressure is gone", func() error {
		out := c.kubectl(t, "get", "portpressures", "--output=name")
		if strings.Contains(out, "/b\n") {
			return fmt.Errorf("there are %q", out)
		}
		return nil
	})
}
