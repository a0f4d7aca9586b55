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

// parallelSteps is a row of steps that build on each other, but each says what it finds. The lanes
// of a stage run side by side: each keeps to its own nodes and objects.
type parallelSteps map[string][]step

var stages = []struct {
	name  string
	lanes parallelSteps
}{
	{"install", parallelSteps{"helm": {{"helm installs it, and every node has a PortPressure", installChart}}}},
	{"measuring", parallelSteps{
		"node a": {
			{"the agent has no privileges but its two", checkAgentCapabilities},
			{"a pod that runs out of ports is named with its pool", exhaustPodPorts},
			{"the pod has Events that say so", checkPodEvents},
			{"an agent that is killed comes back and knows what was", killAgent},
			{"a pod that goes takes its pool along", deletePod},
		},
		"node b": {{"an agent that hangs is called silent until it is back", suspendAgent}},
		"node d": {{"an agent that measures needs all that it is given", checkMeasurePrivileges}},
	}},
	{"idle", parallelSteps{"node c": {{"the agent of an idle node asks for nothing and writes next to nothing", checkIdleRequests}}}},
	{"allow", parallelSteps{"helm": {{"the agents may tune, with SYS_ADMIN in place of what they had", enableTuning}}}},
	{"tuning", parallelSteps{
		"nodes a, b and c": {
			{"a NodeTuning gives ports to pods that ran out, also in the node's network, and to all nodes", widenPodRange},
			{"what another program changes is put back", checkDriftIsRepaired},
			{"an agent that ends gives nothing back", restartAgent},
			{"an agent that needs too much memory gives nothing back", exceedAgentMemory},
			{"a NodeTuning is on a node within 2 s", measureTuningLatency},
			{"what another program changes in a pod is put back, too", checkPodDriftIsRepaired},
		},
		"node d": {
			{"an agent that tunes its node needs all that it is given", checkHostPrivileges},
			{"an agent that tunes pods needs all that it is given", checkPodsPrivileges},
		},
	}},
	{"upgrade", parallelSteps{"helm": {{"another version of the agent goes on with what the last one held", upgradeAgents}}}},
	{"crash", parallelSteps{"nodes a, b and c": {{"agents that are killed while they apply lose no original", killAgentsDuringApply}}}},
	{"trouble", parallelSteps{
		"node a":       {{"a pod runs out of ports, while others have trouble", exhaustPodPorts}},
		"controller":   {{"a controller that is killed is followed by another one, and a rollout goes on", killLeader}},
		"kubelet of c": {{"a kubelet that starts anew changes nothing", restartKubelet}},
	}},
	{"outage", parallelSteps{"API server": {{"what changes while the API is away is told when it is back, and settings stay", stopAPIForAMinute}}}},
	{"regression", parallelSteps{"nodes a, b and c": {
		{"a range that makes it worse is caught on the canary", checkRegressionIsCaught},
		{"a NodeTuning that is deleted gives everything back", checkOriginalsAreRestored},
	}}},
	// Not beside the nodes: the server that the sidecar dials may be on the one that goes.
	{"race", parallelSteps{"node c": {{"an app gets its port, whatever its sidecar dials before", checkAppGetsItsPort}}}},
	{"nodes", parallelSteps{"node b": {
		{"a node that loses its power has its settings again", powerCycleNode},
		{"a node that goes takes its PortPressure along", removeNode},
	}}},
	{"uninstall", parallelSteps{"helm": {
		{"helm uninstalls it: every original is back, and nothing is left but CRDs", uninstallChart},
		{"every right was used, and no other was missed", checkRightsAreUsed},
	}}},
}

func TestPortreeve(t *testing.T) {
	c := openCluster(t)
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

// maxInstallTime is how long helm install --wait may take.
const maxInstallTime = 30 * time.Second

// chartPath is the chart's folder, values the file of its values here.
func (c cluster) chartPath() string { return filepath.Join(c.root, "charts", "portreeve") }
func (c cluster) valuesPath() string {
	return filepath.Join(c.root, "hack", "e2e", "testdata", "values.yaml")
}

func installChart(t *testing.T, c cluster) {
	begin := time.Now()
	t.Log(c.runProgram(t, "", "helm", "install", "portreeve", c.chartPath(),
		"--namespace", system, "--create-namespace", "--wait", "--timeout", "2m", "--values", c.valuesPath()))
	took := time.Since(begin)
	t.Logf("helm install --wait took %v on %d nodes", took, len(nodes)+1)
	if took > maxInstallTime {
		t.Errorf("helm install --wait took %v, want %v", took, maxInstallTime)
	}
	c.applyFile(t, "db.yaml")
	for _, node := range nodes {
		waitFor(t, time.Minute, "node "+node+" has a PortPressure with a status", func() error {
			pp, err := c.getPortPressure(t, node)
			if err == nil && (pp.Status.Level == "" || pp.Status.ObservedAt == nil) {
				err = errors.New("no status yet")
			}
			return err
		})
	}
}
