package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

const agentBinary = "bin/portreeve-agent"

// measureWatch returns the memory use of `report --watch` after some reports.
func measureWatch() (memory, error) {
	const reports = 5
	cmd := exec.Command(agentBinary, "report", "--watch", "--interval", "1s", "-o", "json", "--reader", "portwalk")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return memory{}, err
	}
	if err := cmd.Start(); err != nil {
		return memory{}, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // reports that it was killed
	}()
	for d, i := json.NewDecoder(out), 0; i < reports; i++ {
		var report json.RawMessage
		if err := d.Decode(&report); err != nil {
			return memory{}, fmt.Errorf("report %d of --watch: %w", i+1, err)
		}
	}
	return readMemory(cmd.Process.Pid), nil
}
