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
	namespaces []*testnet.Namespace
	peak       uint64
}

func (s *ssCommand) sample() (sum time.Duration, err error) {
	for _, namespace := range s.namespaces {
		cmd := exec.Command("ss", "-Htan") // the output goes to /dev/null
		namespace.Do(func() { err = cmd.Run() })
		if err != nil {
			return 0, fmt.Errorf("ss: %w", err)
		}
		sum += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	return sum, nil
}

// check also measures the peak memory. ss writes while it reads, so memory peaks when the
// last lines are written.
func (s *ssCommand) check(b *sandbox) error {
	for i, namespace := range s.namespaces {
		seen, err := s.countLines(namespace)
		if err := errors.Join(err, compareCounts(i, seen, b.socketCounts[i])); err != nil {
			return err
		}
	}
	return nil
}

func (s *ssCommand) countLines(namespace *testnet.Namespace) (n int, err error) {
	cmd := exec.Command("ss", "-Htan")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	namespace.Do(func() { err = cmd.Start() })
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
