package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

const checkoutPool = "shop/checkout → 10.96.0.50:5432"

// isOutOfPorts reports whether the status shows that shop/checkout has no port left to its
// database.
func isOutOfPorts(s v1alpha1.PortPressureStatus) bool {
	t := s.Tightest
	return s.Level == v1alpha1.LevelCritical && t != nil && t.Summary == checkoutPool && t.Capacity == 1000 && t.Used > 850
}

// isHealthy reports whether the level is Normal and the pool of shop/checkout is not listed.
func isHealthy(s v1alpha1.PortPressureStatus) bool {
	return s.Level == v1alpha1.LevelNormal && len(s.Networks) == 0 && (s.Tightest == nil || s.Tightest.Summary != checkoutPool)
}

// waitForStatus waits until matches accepts the status of a node.
func (c cluster) waitForStatus(t *testing.T, node, what string, matches func(v1alpha1.PortPressureStatus) bool) {
	t.Helper()
	waitFor(t, 90*time.Second, what, func() error {
		pp, err := c.getPortPressure(t, node)
		if err == nil && !matches(pp.Status) {
			text, _ := json.Marshal(pp.Status)
			err = fmt.Errorf("it is %s", text)
		}
		return err
	})
}

func exhaustPodPorts(t *testing.T, c cluster) {
	c.applyFile(t, "shop.yaml")
	c.runKubectl(t, "wait", "--namespace", "shop", "--for=condition=Ready", "--timeout=60s", "pod/db", "pod/checkout")
	c.waitForStatus(t, "a", "shop/checkout is out of ports", isOutOfPorts)
	table := c.runKubectl(t, "get", "portpressures")
	t.Log("\n" + table)
	for line := range strings.Lines(table) {
		onA := strings.HasPrefix(line, "a ")
		if strings.Contains(line, checkoutPool) != onA || strings.Contains(line, "Critical") != onA {
			t.Errorf("only node a must be Critical for %s: %s", checkoutPool, line)
		}
	}
	if !strings.Contains(table, "\na ") {
		t.Error("kubectl get portpressures has no node a")
	}
}

func deletePod(t *testing.T, c cluster) {
	c.waitForStatus(t, "a", "shop/checkout is out of ports again", isOutOfPorts)
	c.runKubectl(t, "delete", "--namespace", "shop", "pod/checkout", "--wait")
	c.waitForStatus(t, "a", "the node is healthy", isHealthy)
}
