package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The programs accept the arguments of the chart: started with only these, they fail
// because something else is missing.
func TestThePodsAcceptTheirArguments(t *testing.T) {
	RunHelm(t, nil, "version") //nolint:errcheck // skips the test before building
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", dir+"/",
		"./agent/cmd/portreeve-agent", "./controllers/cmd/portreeve-controller")
	build.Dir = FindRepositoryRoot(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	missing := map[string]string{
		"DaemonSet portreeve-agent":       "--node-name is missing",
		"Deployment portreeve-controller": "neither --kubeconfig nor $KUBECONFIG is set",
		releaseJob:                        "neither --kubeconfig nor $KUBECONFIG is set",
	}
	for name, values := range map[string][]string{
		"the defaults":       nil,
		"every value is set": {"--values", "testdata/all-values.yaml"},
		"tuning inside pods": {"--set", "agent.mode=pods"},
	} {
		t.Run(name, func(t *testing.T) {
			started := 0
			for _, o := range RenderObjects(t, "portreeve-system", values...) {
				want, ok := missing[objectKey(o)]
				if !ok {
					continue
				}
				started++
				program := o.GetName()
				if objectKey(o) == releaseJob {
					program = "portreeve-controller"
				}
				args, _, err := unstructured.NestedStringSlice(findContainer(t, o), "args")
				if err != nil || len(args) < 2 {
					t.Fatalf("%s has the arguments %q (%v)", objectKey(o), args, err)
				}
				cmd := exec.CommandContext(t.Context(), filepath.Join(dir, program), args...)
				cmd.Env = []string{"PORTREEVE_NAMESPACE=portreeve-system"}
				if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
					t.Errorf("%s %q printed (%v):\n%s\nwant %s", o.GetName(), args, err, out, want)
				}
			}
			if started != len(missing) {
				t.Errorf("%d programs started, want %d", started, len(missing))
			}
		})
	}
}

// The Windows agent runs in Wine.
func TestTheWindowsAgentAcceptsItsArguments(t *testing.T) {
	runInWine := filepath.Join(FindRepositoryRoot(t), "hack", "wine", "sandbox.sh")
	if _, err := os.Stat("/usr/lib/wine/wine64"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root, and Wine (make deps)")
	}
	var args []string
	for _, o := range RenderObjects(t, "portreeve-system", "--values", "testdata/all-values.yaml") {
		if objectKey(o) == "DaemonSet portreeve-agent-windows" {
			args, _, _ = unstructured.NestedStringSlice(findContainer(t, o), "args")
		}
	}
	program := filepath.Join(t.TempDir(), "portreeve-agent.exe")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", program, "./agent/cmd/portreeve-agent")
	build.Dir, build.Env = FindRepositoryRoot(t), append(os.Environ(), "GOOS=windows", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), runInWine, append([]string{program}, args...)...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--node-name is missing") {
		t.Errorf("portreeve-agent.exe %q printed (%v):\n%s", args, err, out)
	}
}
