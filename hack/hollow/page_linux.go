package main

import (
	"fmt"
	"os"
)

// machine says where and when the figures were taken. load is /proc/loadavg from
// before: above 2 others worked here, too, and that is said.
func machine(load float64) string {
	busy := ""
	if load > 2 {
		busy = fmt.Sprintf(" Load average before the run: %.1f.", load)
	}
	return scale.Machine() + "." + busy + "\n\n"
}

// loadAverage is that of the last minute.
func loadAverage() (load float64, err error) {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(string(b), &load)
	return load, err
}
