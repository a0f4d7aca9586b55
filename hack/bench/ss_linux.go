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

// ss runs `ss -Htan` once in each namespace.
type ss struct {
	spaces []*testnet.Namespace
	peak   uint64
}

func (s *ss) sample() (sum time.Duration, err error) {
	for _, space := range s.spaces {
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
func (s *ss) check(b *bed) error {
	for i, space := range s.spaces {
		seen, err := s.lines(space)
		if err := errors.Join(err, compare(i, seen, b.made[i])); err != nil {
			return err
		}
	}
	return nil
}

func (s *ss) lines(space *testnet.Namespace) (n int, err error) {
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
			s.peak = max(s.peak, statusBytes(cmd.Process.Pid, "VmHWM:"))
		}
	}
	return n, cmd.Wait()
}

func (s *ss) memory() memory { return memory{peak: s.peak} }
func (s *ss) close() error   { return nil }
