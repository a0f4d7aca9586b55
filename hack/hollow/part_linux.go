package main

import (
	"fmt"
	"os"
)

// formatMachine describes where and when the figures were measured. load is the load
// average before the run: above 2 it is mentioned, because other programs were busy.
func formatMachine(load float64) string {
	busy := ""
	if load > 2 {
		busy = fmt.Sprintf(" Load average before the run: %.1f.", load)
	}
	return tablePart.DescribeMachine() + "." + busy + "\n\n"
}

// readLoadAverage returns the load average of the last minute.
func readLoadAverage() (load float64, err error) {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(string(b), &load)
	return load, err
}
