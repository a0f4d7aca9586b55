package prometheus

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// findProgram is the path of one of Debian's programs, or of the system's own.
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
	t.Skipf("needs %s: hack/prometheus/fetch.sh (or make deps) unpacks Debian's", name)
	return ""
}
