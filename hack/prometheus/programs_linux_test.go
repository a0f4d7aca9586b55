package prometheus

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// findProgram returns the path of a program unpacked by fetch.sh or installed in PATH.
func findProgram(t *testing.T, name string) string {
	t.Helper()
	dir, err := exec.Command("./fetch.sh", "dir").Output()
	if err != nil {
		t.Fatalf("fetch.sh dir: %v", err)
	}
	for _, candidate := range []string{filepath.Join(strings.TrimSpace(string(dir)), name), name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Skipf("needs %s: run hack/prometheus/fetch.sh (or make deps)", name)
	return ""
}
