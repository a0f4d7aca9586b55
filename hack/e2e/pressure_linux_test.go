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

// outOfPorts: the pod has no port left to its database, and the node says so.
func outOfPorts(s v1alpha1.PortPressureStatus) bool {
	t := s.Tightest
	return s.Level == v1alpha1.LevelCritical && t != nil && t.Summary == checkoutPool && t.Capacity == 1000 && t.Used > 850
}

func atEase(s v1alpha1.PortPressureStatus) bool {
	return s.Level == v1alpha1.LevelNormal && len(s.Networks) == 0 && (s.Tightest == nil || s.Tightest.Summary != checkoutPool)
}

// becomes waits until the status of a node is as wanted.
func (c cluster) becomes(t *testing.T, node, what string, wanted func(v1alpha1.PortPressureStatus) bool) {
	t.Helper()
	within(t, 90*time.Second, what, func() error {
		pp, err := c.pressure(t, node)
		if err == nil && !wanted(pp.Status) {
			said, _ := json.Marshal(pp.Status)
			err = fmt.Errorf("it is %s", said)
		}
		return err
	})
}

func podRunsOut(t *testing.T, c cluster) {
	c.apply(t, "shop.yaml")
	c.kubectl(t, "wait", "--namespace", "shop", "--for=condition=Ready", "--timeout=60s", "pod/db", "pod/checkout")
	c.becomes(t, "a", "shop/checkout is out of ports", outOfPorts)
	table := c.kubectl(t, "get", "portpressures")
	t.Log("\n" + table)
	for line := range strings.Lines(table) {
		onA := strings.HasPrefix(line, "a ")
		if strings.Contains(line, checkoutPool) != onA || strings.Contains(line, "Critical") != onA {
			t.Errorf("node a, and it alone, is Critical for %s: %s", checkoutPool, line)
		}
	}
	if !strings.Contains(table, "\na ") {
		t.Error("kubectl get portpressures has no node a")
	}
}

func podGoes(t *testing.T, c cluster) {
	c.becomes(t, "a", "shop/checkout is out of ports again", outOfPorts)
	c.kubectl(t, "delete", "--namespace", "shop", "pod/checkout", "--wait")
	c.becomes(t, "a", "the node is at ease", atEase)
}
