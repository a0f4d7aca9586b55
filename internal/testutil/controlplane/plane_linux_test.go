package controlplane

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"portreeve.io/portreeve/api/v1alpha1"
)

func TestPodsAreThoseOfTheManifests(t *testing.T) {
	p := &Plane{root: "../../.."}
	tests := map[string]struct {
		workload, name, account string
		agent                   bool
	}{
		"the agent's is known to the controller by its labels": {Agent, "portreeve-agent-node-a", "portreeve-agent", true},
		"the controller's is not an agent's":                   {Controller, "portreeve-controller-node-a", "portreeve-controller", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pod, err := p.NewPod(tt.workload, "node-a")
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

func TestAFolderOfAKilledProcessIsRemoved(t *testing.T) {
	tmp := t.TempDir()
	mine, killed, other, foreign := "a.", filepath.Join(tmp, "a.4194305"), filepath.Join(tmp, "a.1"), filepath.Join(tmp, "b.4194305")
	for _, dir := range []string{killed, other, foreign} { // 4194304 is the largest process ID (PID_MAX_LIMIT)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	got, err := makeDir(tmp, mine)
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{got: true, other: true, foreign: true, killed: false} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", dir, err == nil, want)
		}
	}
}

func TestAProgramEndsAndSaysWhy(t *testing.T) {
	p := &Plane{Dir: t.TempDir()}
	failing, err := p.Run("failing", "sh", "-c", "echo no such thing >&2; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	<-failing.Ended()
	if err := failing.Check(); err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("check says %v", err)
	}
	living, err := p.Run("living", "sleep", "600")
	if err != nil {
		t.Fatal(err)
	}
	if err := living.Check(); err != nil {
		t.Errorf("it lives, and check says %v", err)
	}
	begin := time.Now()
	if err := living.Stop(); err != nil || time.Since(begin) > patience {
		t.Errorf("stop took %v: %v", time.Since(begin), err)
	}
	if living.Check() == nil {
		t.Error("it was stopped, and check says nothing")
	}
	if err := failing.Stop(); err != nil {
		t.Errorf("what has ended can't be stopped: %v", err)
	}
}
