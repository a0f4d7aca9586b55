package main

import (
	"fmt"
	"os"
)

// formatMachine says where and when the figures were taken. load is /proc/loadavg from
// before: above 2 others worked here, too, and that is said.
func formatMachine(load float64) string {
	busy := ""
	if load > 2 {
		busy = fmt.Sprintf(" Load average before the run: %.1f.", load)
	}
	return tablePart.DescribeMachine() + "." + busy + "\n\n"
}

// readLoadAverage is that of the last minute.
func readLoadAverage() (load float64, err error) {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(string(b), &load)
	return load, err
}
