package controllers_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// What portreeve-agent convert prints is taken as it is. Its own test writes these files.
func TestWhatConvertPrintsIsTaken(t *testing.T) {
	env, heard := adviser(t)
	files, err := filepath.Glob(filepath.Join(env.Root, "agent", "cmd", "portreeve-agent", "testdata", "convert", "*.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%q, %v", files, err)
	}
	advice := map[string]string{"old-advice": "spec.linux.finTimeoutSeconds: 15 does not shorten TIME_WAIT", "sysctl-d": "spec.linux.conntrack.max: 524288 is raised"}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			heard.lines = nil
			if got := taken(t, env, file); got.Name != name || got.Spec.Linux.TimeWait.Reuse != "All" {
				t.Errorf("%s is %+v", got.Name, got.Spec)
			}
			if said := strings.Join(heard.advice(t), "\n"); !strings.Contains(said, advice[name]) || advice[name] == "" {
				t.Errorf("advice %s, want %q", said, advice[name])
			}
		})
	}
}
