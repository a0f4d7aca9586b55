package testnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"portreeve.io/portreeve/internal/tcpstate"
)

// CountStates counts the TCP sockets of the calling thread's namespace from
// /proc/net/tcp{,6}, slowly and simply, for comparison in tests. Sockets that are only
// bound are not included.
func CountStates() (tcpstate.Counts, error) {
	var s tcpstate.Counts
	for _, name := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile("/proc/thread-self/net/" + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return s, err
		}
		if err := addStateCounts(b, &s); err != nil {
			return s, err
		}
	}
	return s, nil
}

// CountStates counts the TCP sockets of the namespace.
func (s *Namespace) CountStates() (states tcpstate.Counts, err error) {
	s.Do(func() { states, err = CountStates() })
	return states, err
}

// AwaitStates waits until the namespace has exactly these sockets.
func (s *Namespace) AwaitStates(want tcpstate.Counts) error {
	for end := time.Now().Add(waitLimit); ; time.Sleep(time.Millisecond) {
		got, err := s.CountStates()
		if err != nil || got == want {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("after %v there are %v sockets by state, not %v", waitLimit, got, want)
		}
	}
}
