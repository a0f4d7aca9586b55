package e2e

import (
	"errors"
	"path/filepath"
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

// step is one case.
type step struct {
	name string
	run  func(*testing.T, cluster)
}

// lane is a row of steps that build on each other, but each says what it finds. The lanes
// of a stage run side by side: each keeps to its own nodes and objects.
type lane map[string][]step

var stages = []struct {
	name  string
	lanes lane
}{
	{"install", lane{"helm": {{"helm installs it, and every node has a PortPressure", install}}}},
	{"measuring", lane{
		"node a": {
			{"the agent has no privileges but its two", twoCapabilities},
			{"a pod that runs out of ports is named with its pool", podRunsOut},
			{"the pod has Events that say so", podIsTold},
			{"an agent that is killed comes back and knows what was", agentKilled},
			{"a pod that goes takes its pool along", podGoes},
		},
		"node b": {{"an agent that hangs is called silent until it is back", agentHangs}},
		"node d": {{"an agent that measures needs all that it is given", measuringNeeds}},
	}},
	{"idle", lane{"node c": {{"the agent of an idle node asks for nothing and writes next to nothing", idle}}}},
	{"allow", lane{"helm": {{"the agents may tune, with SYS_ADMIN in place of what they had", mayTune}}}},
	{"tuning", lane{
		"nodes a, b and c": {
			{"a NodeTuning gives ports to pods that ran out, also in the node's network, and to all nodes", podGetsPorts},
			{"what another program changes is put back", driftIsRepaired},
			{"an agent that ends gives nothing back", endedAgentHolds},
			{"an agent that needs too much memory gives nothing back", outOfMemory},
			{"a NodeTuning is on a node within 2 s", tuningIsFast},
			{"what another program changes in a pod is put back, too", driftInPodIsRepaired},
		},
		"node d": {
			{"an agent that tunes its node needs all that it is given", hostNeeds},
			{"an agent that tunes pods needs all that it is given", podsNeed},
		},
	}},
	{"upgrade", lane{"helm": {{"another version of the agent goes on with what the last one held", upgrade}}}},
	{"crash", lane{"nodes a, b and c": {{"agents that are killed while they apply lose no original", killedWhileItApplies}}}},
	{"trouble", lane{
		"node a":       {{"a pod runs out of ports, while others have trouble", podRunsOut}},
		"controller":   {{"a controller that is killed is followed by another one, and a rollout goes on", leaderKilled}},
		"kubelet of c": {{"a kubelet that starts anew changes nothing", kubeletRestarts}},
	}},
	{"outage", lane{"API server": {{"what changes while the API is away is told when it is back, and settings stay", apiAway}}}},
	{"regression", lane{"nodes a, b and c": {
		{"a range that makes it worse is caught on the canary", narrowRangeIsCaught},
		{"a NodeTuning that is deleted gives everything back", originalsComeBack},
	}}},
	// Not beside the nodes: the server that the sidecar dials may be on the one that goes.
	{"race", lane{"node c": {{"an app gets its port, whatever its sidecar dials before", appGetsItsPort}}}},
	{"nodes", lane{"node b": {
		{"a node that loses its power has its settings again", nodeComesBack},
		{"a node that goes takes its PortPressure along", nodeGoes},
	}}},
	{"uninstall", lane{"helm": {
		{"helm uninstalls it: every original is back, and nothing is left but CRDs", uninstall},
		{"every right was used, and no other was missed", everyRightIsUsed},
	}}},
}

func TestPortreeve(t *testing.T) {
	c := open(t)
	for _, s := range stages {
		ok := t.Run(s.name, func(t *testing.T) {
			for name, steps := range s.lanes {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					for _, step := range steps {
						t.Run(step.name, func(t *testing.T) { step.run(t, c) })
					}
				})
			}
		})
		if !ok && s.name == "install" {
			return
		}
	}
}

// mostToInstall is how long helm install --wait may take.
const mostToInstall = 30 * time.Second

// chart is the chart's folder, values the file of its values here.
func (c cluster) chart() string { return filepath.Join(c.root, "charts", "portreeve") }
func (c cluster) values() string {
	return filepath.Join(c.root, "hack", "e2e", "testdata", "values.yaml")
}

func install(t *testing.T, c cluster) {
	begin := time.Now()
	t.Log(c.run(t, "", "helm", "install", "portreeve", c.chart(),
		"--namespace", system, "--create-namespace", "--wait", "--timeout", "2m", "--values", c.values()))
	took := time.Since(begin)
	t.Logf("helm install --wait took %v on %d nodes", took, len(nodes)+1)
	if took > mostToInstall {
		t.Errorf("helm install --wait took %v, want %v", took, mostToInstall)
	}
	c.apply(t, "db.yaml")
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
