package apiserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// makeDir makes a folder for this process below tmp, and removes the folders of
// processes that were killed.
func makeDir(tmp, prefix string) (string, error) {
	old, err := filepath.Glob(filepath.Join(tmp, prefix+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range old {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), prefix), ".")
		pid, err := strconv.Atoi(owner)
		if err != nil || isRunning(pid) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp(tmp, fmt.Sprintf("%s%d.", prefix, os.Getpid()))
}

// isRunning reports whether there is a process with that ID, or whether that is unknown.
func isRunning(pid int) bool {
	p, err := os.FindProcess(pid)
	return err != nil || !errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}
