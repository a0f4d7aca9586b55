package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var nodes = []string{"a", "b", "c"}

// system is where the chart is installed.
const system = "portreeve-system"

// The names of processes, which the kernel cuts at 15 bytes.
const (
	agentProgram = "portreeve-agent"
	churnProgram = "portreeve-churn"
)

// The steps build on each other, but each says what it finds; only without an
// installation there is no point in going on.
func TestPortreeve(t *testing.T) {
	c := open(t)
	steps := []struct {
		name string
		run  func(*testing.T, cluster)
	}{
		{"helm installs it, and every node has a PortPressure", install},
		{"the agent has no privileges but its two", privileges},
		{"a pod that runs out of ports is named with its pool", podRunsOut},
		{"the pod has Events that say so", podIsTold},
		{"an agent that is killed comes back and knows what was", agentKilled},
		{"an agent that hangs is called silent until it is back", agentHangs},
		{"what changes while the API is away is told when it is back", apiAway},
		{"a pod that goes takes its pool along", podGoes},
		{"the agents may tune, with SYS_ADMIN beside what they had", mayTune},
		{"a NodeTuning gives ports to a pod that ran out, and to all nodes", podGetsPorts},
		{"what another program changes is put back", driftIsRepaired},
		{"an agent that is killed gives nothing back", killedAgentHolds},
		{"a NodeTuning is on a node within 2 s", tuningIsFast},
		{"what another program changes in a pod is put back, too", driftInPodIsRepaired},
		{"a range that makes it worse is caught on the canary", narrowRangeIsCaught},
		{"a NodeTuning that is deleted gives everything back", originalsComeBack},
		{"an app gets its port, whatever its sidecar dials before", appGetsItsPort},
		{"a node that goes takes its PortPressure along", nodeGoes},
		{"helm uninstalls it, and nothing runs any more", uninstall},
	}
	for i, step := range steps {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, c) }) && i == 0 {
			return
		}
	}
}

func install(t *testing.T, c cluster) {
	t.Log(c.run(t, "", "helm", "install", "portreeve", filepath.Join(c.root, "charts", "portreeve"),
		"--namespace", system, "--create-namespace", "--wait", "--timeout", "2m",
		"--set", "image.tag=e2e,image.pullPolicy=Never",
		// By the default the kubelet has started a hanging agent again before anybody is told.
		"--set", "controller.agentGrace=5s"))
	for _, node := range nodes {
		within(t, time.Minute, "node "+node+" has a PortPressure with a status", func() error {
			pp, err := c.pressure(t, node)
			if err == nil && (pp.Status.Level == "" || pp.Status.ObservedAt == nil) {
				err = errors.New("no status yet")
			}
			return err
		})
	}
}

func uninstall(t *testing.T, c cluster) {
	c.run(t, "", "helm", "uninstall", "portreeve", "--namespace", system, "--wait", "--timeout", "2m")
	// The pods of node b, which is gone, are left to the pod garbage collector: it
	// looks every 20 s and waits for 40 s (pkg/controller/podgc).
	within(t, 4*time.Minute, "no pod is left", func() error {
		out := c.kubectl(t, "get", "pods", "--namespace", system, "--output=name")
		if pids := c.processes(t, "a", agentProgram); out != "" || len(pids) > 0 {
			return fmt.Errorf("pods %q, agent's processes %v", out, pids)
		}
		return nil
	})
	for _, kind := range []string{"clusterroles", "clusterrolebindings", "validatingadmissionpolicies", "validatingadmissionpolicybindings"} {
		if out := c.kubectl(t, "get", kind, "--output=name"); strings.Contains(out, "portreeve") {
			t.Errorf("%s left: %s", kind, out)
		}
	}
}
