package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// getAgentPod returns the agent's pod on a node.
func (c cluster) getAgentPod(t *testing.T, node string) (corev1.Pod, error) {
	t.Helper()
	var pods corev1.PodList
	err := c.api.getObject(t, "/api/v1/namespaces/"+system+"/pods?labelSelector=app.kubernetes.io/component%3Dagent&fieldSelector=spec.nodeName%3D"+node, &pods)
	if err == nil && len(pods.Items) != 1 {
		err = fmt.Errorf("node %s has %d agents, want 1", node, len(pods.Items))
	}
	if err != nil {
		return corev1.Pod{}, err
	}
	return pods.Items[0], nil
}

// countRestarts returns the number of restarts of a pod's agent.
func countRestarts(pod corev1.Pod) (n int32) {
	for _, s := range pod.Status.ContainerStatuses {
		n += s.RestartCount
	}
	return n
}

func checkAgentCapabilities(t *testing.T, c cluster) {
	pod, err := c.getAgentPod(t, "a")
	if err != nil {
		t.Fatal(err)
	}
	if s := pod.Spec; s.HostNetwork || s.HostPID || s.HostIPC {
		t.Errorf("host namespaces: network %t, PID %t, IPC %t", s.HostNetwork, s.HostPID, s.HostIPC)
	}
	status := readProcessStatus(t, c.processesOnNode(t, "a", agentProgram))
	for field, want := range map[string]string{
		"Uid":        "65532\t65532\t65532\t65532",
		"Groups":     "65532",            // not 0 (root), which may read the logs of pods
		"CapPrm":     "000000c000000000", // CAP_PERFMON (38) and CAP_BPF (39)
		"CapBnd":     "000000c000000000",
		"NoNewPrivs": "1",
		"Seccomp":    "2",
	} {
		if status[field] != want {
			t.Errorf("%s of the agent is %q, want %q", field, status[field], want)
		}
	}
	pp, err := c.getPortPressure(t, "a")
	if err != nil {
		t.Fatal(err)
	}
	if r := pp.Status.Reader; r.Name != v1alpha1.ReaderPortwalk || r.Exactness != v1alpha1.ExactnessExact {
		t.Errorf("reader is %+v, want portwalk, Exact", r)
	}
}

// readProcessStatus returns the fields of /proc/PID/status of the only process in pids.
func readProcessStatus(t *testing.T, pids []int) map[string]string {
	t.Helper()
	if len(pids) != 1 {
		t.Fatalf("processes %v, want one", pids)
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pids[0]))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

// killAgent checks that the status is the same after a restart, including the start of the
// pressure, and that the new agent does not repeat the Event.
func killAgent(t *testing.T, c cluster) {
	pod, err := c.getAgentPod(t, "a")
	if err != nil {
		t.Fatal(err)
	}
	count := countRestarts(pod)
	before, err := c.getPortPressure(t, "a")
	if err != nil || before.Status.LastPressure == nil {
		t.Fatalf("lastPressure is %+v (%v)", before.Status.LastPressure, err)
	}
	_, first, eventCount := c.countCriticalEvents(t)
	c.signalProcess(t, "a", agentProgram, syscall.SIGKILL)
	waitFor(t, time.Minute, "a new agent sees the same", func() error {
		if pod, err = c.getAgentPod(t, "a"); err != nil {
			return err
		}
		if n := countRestarts(pod); n != count+1 {
			return fmt.Errorf("%d restarts, %d before", n, count)
		}
		return c.checkMetricsLevel(t, pod, v1alpha1.LevelCritical)
	})
	since := before.Status.LastPressure.From
	c.waitForStatus(t, "a", "the status says the same", func(s v1alpha1.PortPressureStatus) bool {
		return isOutOfPorts(s) && s.LastPressure != nil && s.LastPressure.From.Equal(&since)
	})
	const named = 30 * time.Minute // an Event keeps its name this long
	sameName := first.Truncate(named).Equal(time.Now().Truncate(named))
	if names, _, now := c.countCriticalEvents(t); now != eventCount && sameName {
		t.Errorf("the new agent repeated the Event: %d times before, now %d (%v)", eventCount, now, names)
	}
}

// checkSilentLabel returns an error unless the controller's label is silent, or is not, as
// wanted.
func (c cluster) checkSilentLabel(t *testing.T, node string, want bool) error {
	t.Helper()
	pp, err := c.getPortPressure(t, node)
	if got := pp.Labels["portreeve.io/agent"]; err == nil && (got == "silent") != want {
		err = fmt.Errorf("label portreeve.io/agent is %q", got)
	}
	return err
}

func suspendAgent(t *testing.T, c cluster) {
	t.Cleanup(func() {
		for _, pid := range c.processesOnNode(t, "b", agentProgram) {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	})
	c.signalProcess(t, "b", agentProgram, syscall.SIGSTOP)
	waitFor(t, 2*time.Minute, "the agent is called silent", func() error { return c.checkSilentLabel(t, "b", true) })
	c.signalProcess(t, "b", agentProgram, syscall.SIGCONT)
	waitFor(t, 2*time.Minute, "it is back", func() error { return c.checkSilentLabel(t, "b", false) })
}
