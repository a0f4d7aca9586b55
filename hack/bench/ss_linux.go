package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"portreeve.io/portreeve/internal/testutil/testnet"
)

// ssCommand runs `ss -Htan` once in each namespace.
type ssCommand struct {
	namespaces []*testnet.Space
	peak       uint64
}

func (s *ssCommand) sample() (sum time.Duration, err error) {
	for _, space := range s.namespaces {
		cmd := exec.Command("ss", "-Htan") // the output goes to /dev/null
		space.Do(func() { err = cmd.Run() })
		if err != nil {
			return 0, fmt.Errorf("ss: %w", err)
		}
		sum += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	return sum, nil
}

// check also finds the peak memory: ss writes while it reads, so it is at its peak
// when the last lines come.
func (s *ssCommand) check(b *sandbox) error {
	for i, space := range s.namespaces {
		seen, err := s.countLines(space)
		if err := errors.Join(err, compareCounts(i, seen, b.socketCounts[i])); err != nil {
			return err
		}
	}
	return nil
}

func (s *ssCommand) countLines(space *testnet.Space) (n int, err error) {
	cmd := exec.Command("ss", "-Htan")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	space.Do(func() { err = cmd.Start() })
	if err != nil {
		return 0, err
	}
	for r := bufio.NewScanner(out); r.Scan(); {
		if bytes.HasPrefix(r.Bytes(), []byte("LISTEN")) {
			continue
		}
		if n++; n%1000 == 1 {
			s.peak = max(s.peak, readStatusBytes(cmd.Process.Pid, "VmHWM:"))
		}
	}
	return n, cmd.Wait()
}

func (s *ssCommand) memory() memory { return memory{peak: s.peak} }
func (s *ssCommand) close() error   { return nil }
