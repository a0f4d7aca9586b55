package main

import (
	"os"
	"testing"
)

// Past half of a pool connect() searches all ports of one parity first. In a virtual
// machine the whole curve is shown, which says how other kernels do.
func TestConnectIsExpensiveAboveHalfOfItsPool(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the test makes a network namespace")
	}
	fills := []float64{0, 45, 55}
	if os.Getenv("PORTREEVE_VM") != "" {
		fills = cliffUtilizations
	}
	c, err := measureCliff(fills, 60)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(c.formatSection("-"))
	for _, p := range c.points {
		// 16 and more on every kernel that was tried, and at most 2 below.
		if r := c.cpuRatio(p); p.percent >= 55 && r < 5 || p.percent <= 45 && r > 5 {
			t.Errorf("at %s connect() takes %.1f times the CPU time of an empty pool", p.formatLabel(), r)
		}
	}
}
