package main

import (
	"os"
	"testing"
)

// Above half of a pool, connect() searches all ports of one parity first. In a virtual
// machine the whole curve is logged, to compare kernels.
func TestConnectIsExpensiveAboveHalfOfItsPool(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the test makes a network namespace")
	}
	utilizations := []float64{0, 45, 55}
	if os.Getenv("PORTREEVE_VM") != "" {
		utilizations = cliffUtilizations
	}
	c, err := measureCliff(utilizations, 60)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(c.formatSection("-"))
	for _, p := range c.points {
		// Measured: 16 and more on every kernel, and at most 2 below half.
		if r := c.cpuRatio(p); p.percent >= 55 && r < 5 || p.percent <= 45 && r > 5 {
			t.Errorf("at %s connect() takes %.1f times the CPU time of an empty pool", p.formatLabel(), r)
		}
	}
}
