package controlplane

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/apiserver"
)

func TestPodsAreThoseOfTheManifests(t *testing.T) {
	c := &Cluster{Server: &apiserver.Server{Root: "../../.."}}
	tests := map[string]struct {
		workload, name, account string
		agent                   bool
	}{
		"the controller recognises an agent's pod by its labels": {AgentWorkload, "portreeve-agent-node-a", "portreeve-agent", true},
		"the controller's pod is not an agent's":                 {ControllerWorkload, "portreeve-controller-node-a", "portreeve-controller", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pod, err := c.NewPod(tt.workload, "node-a")
			if err != nil {
				t.Fatal(err)
			}
			if pod.Name != tt.name || pod.Namespace != Namespace || pod.Spec.NodeName != "node-a" || pod.Spec.ServiceAccountName != tt.account {
				t.Errorf("%s/%s on %q with %q", pod.Namespace, pod.Name, pod.Spec.NodeName, pod.Spec.ServiceAccountName)
			}
			if got := labels.SelectorFromSet(v1alpha1.AgentPodLabels).Matches(labels.Set(pod.Labels)); got != tt.agent {
				t.Errorf("with the labels %v it is an agent's: %v", pod.Labels, got)
			}
		})
	}
}

func startProcess(t *testing.T, name, program string, args ...string) *Process {
	t.Helper()
	p := &Process{Log: filepath.Join(t.TempDir(), name), name: name, command: exec.Command(program, args...), done: make(chan struct{})}
	if err := p.startCommand((*exec.Cmd).Start); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAnEndedProgramIsReportedWithItsOutput(t *testing.T) {
	failing := startProcess(t, "failing", "sh", "-c", "echo no such thing >&2; exit 3")
	<-failing.Done()
	if err := failing.CheckRunning(); err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("error %v, want one with the exit status and the output", err)
	}
	if err := failing.Stop(); err != nil {
		t.Errorf("stop of a program that has ended: %v", err)
	}
	living := startProcess(t, "living", "sleep", "600")
	if err := living.CheckRunning(); err != nil {
		t.Errorf("a running program is reported: %v", err)
	}
	begin := time.Now()
	if err := living.Stop(); err != nil || time.Since(begin) > stopTimeout {
		t.Errorf("stop took %v: %v", time.Since(begin), err)
	}
	if living.CheckRunning() == nil {
		t.Error("a stopped program is not reported")
	}
}

// The API server and the programs need no thread of their caller, whose goroutine may
// move or end.
func TestAProgramRunsUntilTheClusterIsStopped(t *testing.T) {
	root, err := apiserver.FindRoot()
	if err != nil {
		t.Fatal(err)
	}
	programs, err := apiserver.FindPrograms(root)
	if errors.Is(err, apiserver.ErrNotBuilt) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := Start(root, programs, "controlplane-test")
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Run("living", "sleep", "600")
	if err == nil {
		err = p.CheckRunning()
	}
	if err := errors.Join(err, c.Stop()); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if _, err := os.Stat(c.Dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", c.Dir, err)
	}
}
