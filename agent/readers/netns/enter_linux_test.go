package netns_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/internal/testutil/netnstest"
)

func readCurrentNetns(t *testing.T) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestEnterRunsInsideAndLeavesTheProcessWhereItWas(t *testing.T) {
	n := netnstest.New(t)
	path := fmt.Sprintf("/proc/self/fd/%d", n.FD())
	before := readCurrentNetns(t)
	var inside uint64
	var tid int
	errDone := errors.New("done")
	err := netns.Enter(path, n.Inode(), func() error {
		inside, tid = readCurrentNetns(t), unix.Gettid()
		return errDone
	})
	if !errors.Is(err, errDone) || inside != n.Inode() {
		t.Errorf("%v, ran in net:[%d], want net:[%d]", err, inside, n.Inode())
	}
	if tid == unix.Getpid() {
		t.Error("ran on the main thread")
	}
	for range 100 { // on whichever thread comes next
		done := make(chan uint64)
		go func() { done <- readCurrentNetns(t) }()
		if got := <-done; got != before {
			t.Fatalf("a goroutine is in net:[%d], want net:[%d]", got, before)
		}
	}
}

func TestEnterRefuses(t *testing.T) {
	n := netnstest.New(t)
	path := fmt.Sprintf("/proc/self/fd/%d", n.FD())
	file := filepath.Join(t.TempDir(), "cni-1")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		path  string
		inode uint64
		want  error
	}{
		"another namespace than expected":            {path, n.Inode() + 1, netns.ErrChanged},
		"a file that isn't mounted on yet":           {file, 0, netns.ErrNotNamespace},
		"a namespace that has vanished":              {file + "-gone", 0, os.ErrNotExist},
		"a namespace that isn't a network namespace": {"/proc/self/ns/uts", 0, unix.EINVAL},
	} {
		t.Run(name, func(t *testing.T) {
			err := netns.Enter(test.path, test.inode, func() error { t.Error("ran"); return nil })
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}
