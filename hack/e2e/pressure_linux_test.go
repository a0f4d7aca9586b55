package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

const checkoutPool = "shop/checkout → 10.96.0.50:5432"

// named looks for the pod in what a PortPressure says of now.
func named(s v1alpha1.PortPressureStatus) bool {
	if s.Tightest.Summary == checkoutPool {
		return true
	}
	for _, n := range s.Networks {
		if n.Namespace == "shop" && n.Pod == "checkout" {
			return true
		}
	}
	return false
}

func podRunsOut(t *testing.T, c cluster) {
	c.apply(t, "shop.yaml")
	c.kubectl(t, "wait", "--namespace", "shop", "--for=condition=Ready", "--timeout=60s", "pod/db", "pod/checkout")
	within(t, 90*time.Second, "shop/checkout is out of ports", func() error {
		pp, err := c.pressure(t, "a")
		s := pp.Status
		if err == nil && (s.Level != v1alpha1.LevelCritical || s.Tightest.Summary != checkoutPool || s.Tightest.Capacity != 1000) {
			err = fmt.Errorf("level %s, tightest %+v", s.Level, s.Tightest)
		}
		return err
	})
	table := c.kubectl(t, "get", "portpressures")
	t.Log("\n" + table)
	if !strings.Contains(table, checkoutPool) || !strings.Contains(table, "Critical") {
		t.Errorf("kubectl get portpressures doesn't show %s as Critical", checkoutPool)
	}
}

func podGoes(t *testing.T, c cluster) {
	within(t, 90*time.Second, "shop/checkout is past the line again", func() error {
		pp, err := c.pressure(t, "a")
		if err == nil && !named(pp.Status) {
			err = fmt.Errorf("tightest is %s", pp.Status.Tightest.Summary)
		}
		return err
	})
	c.kubectl(t, "delete", "--namespace", "shop", "pod/checkout", "--wait")
	within(t, 90*time.Second, "nobody speaks of it", func() error {
		pp, err := c.pressure(t, "a")
		if err == nil && named(pp.Status) {
			err = fmt.Errorf("still %s", pp.Status.Tightest.Summary)
		}
		return err
	})
}

func nodeGoes(t *testing.T, c cluster) {
	c.run(t, "", "node.sh", "down", "b")
	within(t, time.Minute, "its PortPressure is gone", func() error {
		out := c.kubectl(t, "get", "portpressures", "--output=name")
		if strings.TrimSpace(out) != "portpressure.portreeve.io/a" {
			return fmt.Errorf("there are %q", out)
		}
		return nil
	})
}
