package controllers_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// The API accepts the output of portreeve-agent convert. The test of that command writes the
// files.
func TestTheOutputOfConvertIsAccepted(t *testing.T) {
	env, warned := startWithAdvice(t)
	files, err := filepath.Glob(filepath.Join(env.Root, "agent", "cmd", "portreeve-agent", "testdata", "convert", "*.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%q, %v", files, err)
	}
	advice := map[string]string{"old-advice": "spec.linux.finTimeoutSeconds: 15 does not shorten TIME_WAIT", "sysctl-d": "spec.linux.conntrack.max: 524288 is raised"}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			warned.lines = nil
			if got := createFromFile(t, env, file); got.Name != name || got.Spec.Linux.TimeWait.Reuse != "All" {
				t.Errorf("%s is %+v", got.Name, got.Spec)
			}
			if got := strings.Join(warned.listAdvice(t), "\n"); !strings.Contains(got, advice[name]) || advice[name] == "" {
				t.Errorf("advice %s, want %q", got, advice[name])
			}
		})
	}
}
