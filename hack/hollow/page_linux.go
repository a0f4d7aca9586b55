package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func write(page, text string) error {
	if page == "-" {
		_, err := fmt.Print(text)
		return err
	}
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	now, err := splice(string(old), text)
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(page, []byte(now), 0o644)
}

// machine says where and when the figures were taken. load is /proc/loadavg from
// before: above 2 others worked here, too, and that is said.
func machine(load float64) string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		panic(err) // it can only fail for a bad pointer
	}
	cpu := "unknown CPU"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, ok := strings.Cut(string(b), "model name\t: "); ok {
			cpu, _, _ = strings.Cut(after, "\n")
		}
	}
	busy := ""
	if load > 2 {
		busy = fmt.Sprintf(" Load average before the run: %.1f.", load)
	}
	return fmt.Sprintf("%s, %d CPUs, Linux %s %s, %s, `make bench-scale`.%s\n\n", cpu, runtime.NumCPU(),
		unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]), time.Now().UTC().Format(time.DateOnly), busy)
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
