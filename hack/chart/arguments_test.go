package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The programs themselves say whether they take the arguments that the chart gives
// them: with nothing but these they end because something else is missing.
func TestThePodsTakeTheirArguments(t *testing.T) {
	Helm(t, nil, "version") //nolint:errcheck // skips before anything is built
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", dir+"/",
		"./agent/cmd/portreeve-agent", "./controllers/cmd/portreeve-controller")
	build.Dir = Root(t)
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
			asked := 0
			for _, o := range Render(t, "portreeve-system", values...) {
				want, ok := missing[key(o)]
				if !ok {
					continue
				}
				asked++
				program := o.GetName()
				if key(o) == releaseJob {
					program = "portreeve-controller"
				}
				args, _, err := unstructured.NestedStringSlice(container(t, o), "args")
				if err != nil || len(args) < 2 {
					t.Fatalf("%s has the arguments %q (%v)", key(o), args, err)
				}
				cmd := exec.CommandContext(t.Context(), filepath.Join(dir, program), args...)
				cmd.Env = []string{"PORTREEVE_NAMESPACE=portreeve-system"}
				if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
					t.Errorf("%s %q says (%v):\n%s\nwant %s", o.GetName(), args, err, out, want)
				}
			}
			if asked != len(missing) {
				t.Errorf("%d programs asked, want %d", asked, len(missing))
			}
		})
	}
}

// The same of the program for Windows, which Wine runs.
func TestTheAgentOfWindowsTakesItsArguments(t *testing.T) {
	bed := filepath.Join(Root(t), "hack", "wine", "sandbox.sh")
	if _, err := os.Stat("/usr/lib/wine/wine64"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root, and Wine (make deps)")
	}
	var args []string
	for _, o := range Render(t, "portreeve-system", "--values", "testdata/all-values.yaml") {
		if key(o) == "DaemonSet portreeve-agent-windows" {
			args, _, _ = unstructured.NestedStringSlice(container(t, o), "args")
		}
	}
	program := filepath.Join(t.TempDir(), "portreeve-agent.exe")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", program, "./agent/cmd/portreeve-agent")
	build.Dir, build.Env = Root(t), append(os.Environ(), "GOOS=windows", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), bed, append([]string{program}, args...)...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--node-name is missing") {
		t.Errorf("portreeve-agent.exe %q says (%v):\n%s", args, err, out)
	}
}
