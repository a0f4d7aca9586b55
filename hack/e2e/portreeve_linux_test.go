package e2e

import (
	"errors"
	"path/filepath"
	"testing"
	"time"
)

var nodes = []string{"a", "b", "c"}

// system is the namespace in which the chart is installed.
const system = "portreeve-system"

// The names of processes, which the kernel truncates to 15 bytes.
const (
	agentProgram = "portreeve-agent"
	churnProgram = "portreeve-churn"
)

// step is one test case.
type step struct {
	name string
	run  func(*testing.T, cluster)
}

// parallelSteps has sequences of steps by name. The sequences of a stage run in parallel, each
// with its own nodes and objects. Steps build on the previous ones of their sequence.
type parallelSteps map[string][]step

var stages = []struct {
	name      string
	sequences parallelSteps
}{
	{"install", parallelSteps{"helm": {{"helm installs the chart, and every node has a PortPressure", installChart}}}},
	{"measuring", parallelSteps{
		"node a": {
			{"the agent has only two capabilities", checkAgentCapabilities},
			{"a pod that runs out of ports is reported with its pool", exhaustPodPorts},
			{"the pod has Events about it", checkPodEvents},
			{"an agent that is killed restarts and keeps its history", killAgent},
			{"the pool of a deleted pod is removed", deletePod},
		},
		"node b": {{"an agent that hangs is labelled silent until it resumes", suspendAgent}},
		"node d": {{"an agent that measures needs all its privileges", checkMeasurePrivileges}},
	}},
	{"idle", parallelSteps{"node c": {{"the agent of an idle node sends almost no requests", checkIdleRequests}}}},
	{"allow", parallelSteps{"helm": {{"agents may tune, with SYS_ADMIN instead of the two capabilities", enableTuning}}}},
	{"tuning", parallelSteps{
		"nodes a, b and c": {
			{"a NodeTuning widens the range of all nodes and of pods out of ports, also in the node's network", widenPodRange},
			{"a value that another program changes is restored", checkDriftIsRepaired},
			{"an agent that ends leaves its settings", restartAgent},
			{"an agent that runs out of memory leaves its settings", exceedAgentMemory},
			{"a NodeTuning is applied within 2 s", measureTuningLatency},
			{"a value that another program changes in a pod is restored", checkPodDriftIsRepaired},
		},
		"node d": {
			{"an agent that tunes its node needs all its privileges", checkHostPrivileges},
			{"an agent that tunes pods needs all its privileges", checkPodsPrivileges},
		},
	}},
	{"upgrade", parallelSteps{"helm": {{"a new version of the agent keeps the settings of the previous one", upgradeAgents}}}},
	{"crash", parallelSteps{"nodes a, b and c": {{"agents that are killed while they apply settings lose no originals", killAgentsDuringApply}}}},
	{"trouble", parallelSteps{
		"node a":       {{"a pod runs out of ports during other failures", exhaustPodPorts}},
		"controller":   {{"another controller takes over from a killed one and continues the rollout", killLeader}},
		"kubelet of c": {{"a restart of the kubelet changes nothing", restartKubelet}},
	}},
	{"outage", parallelSteps{"API server": {{"changes during an API outage are reported afterwards, and settings stay", stopAPIForAMinute}}}},
	{"regression", parallelSteps{"nodes a, b and c": {
		{"a range that increases pressure is detected on the canary", checkRegressionIsCaught},
		{"deleting a NodeTuning restores all originals", checkOriginalsAreRestored},
	}}},
	// Not in parallel to nodes: the removed node may run the server that the sidecar dials.
	{"race", parallelSteps{"node c": {{"an app gets its port, although its sidecar opens connections first", checkAppGetsItsPort}}}},
	{"nodes", parallelSteps{"node b": {
		{"a node has its settings again after a power failure", powerCycleNode},
		{"the PortPressure of a removed node is deleted", removeNode},
	}}},
	{"uninstall", parallelSteps{"helm": {
		{"helm uninstall restores all originals and leaves only CRDs", uninstallChart},
		{"every right is used, and no request is refused", checkRightsAreUsed},
	}}},
}

func TestPortreeve(t *testing.T) {
	c := openCluster(t)
	for _, s := range stages {
		ok := t.Run(s.name, func(t *testing.T) {
			for name, steps := range s.sequences {
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

// maxInstallTime is the limit for helm install --wait.
const maxInstallTime = 30 * time.Second

// chartPath returns the chart's folder.
func (c cluster) chartPath() string { return filepath.Join(c.root, "charts", "portreeve") }

// valuesPath returns the file with the values for this test.
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
