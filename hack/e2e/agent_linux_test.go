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

// agentPod is the agent's pod on a node.
func (c cluster) agentPod(t *testing.T, node string) (corev1.Pod, error) {
	t.Helper()
	var pods corev1.PodList
	err := c.api.get(t, "/api/v1/namespaces/"+system+"/pods?labelSelector=app.kubernetes.io/component%3Dagent&fieldSelector=spec.nodeName%3D"+node, &pods)
	if err == nil && len(pods.Items) != 1 {
		err = fmt.Errorf("node %s has %d agents, want 1", node, len(pods.Items))
	}
	if err != nil {
		return corev1.Pod{}, err
	}
	return pods.Items[0], nil
}

// restarts is how often the agent of a pod was started again.
func restarts(pod corev1.Pod) (n int32) {
	for _, s := range pod.Status.ContainerStatuses {
		n += s.RestartCount
	}
	return n
}

func twoCapabilities(t *testing.T, c cluster) {
	pod, err := c.agentPod(t, "a")
	if err != nil {
		t.Fatal(err)
	}
	if s := pod.Spec; s.HostNetwork || s.HostPID || s.HostIPC {
		t.Errorf("host namespaces: network %t, PID %t, IPC %t", s.HostNetwork, s.HostPID, s.HostIPC)
	}
	status := processStatus(t, c.processes(t, "a", agentProgram))
	for field, want := range map[string]string{
		"Uid":        "65532\t65532\t65532\t65532",
		"Groups":     "65532",            // not root's, to which the logs of pods are readable
		"CapPrm":     "000000c000000000", // CAP_PERFMON (38) and CAP_BPF (39)
		"CapBnd":     "000000c000000000",
		"NoNewPrivs": "1",
		"Seccomp":    "2",
	} {
		if status[field] != want {
			t.Errorf("%s of the agent is %q, want %q", field, status[field], want)
		}
	}
	pp, err := c.pressure(t, "a")
	if err != nil {
		t.Fatal(err)
	}
	if r := pp.Status.Reader; r.Name != v1alpha1.ReaderPortwalk || r.Exactness != v1alpha1.ExactnessExact {
		t.Errorf("reader is %+v, want portwalk, Exact", r)
	}
}

// processStatus is /proc/PID/status by field, of the one process given.
func processStatus(t *testing.T, pids []int) map[string]string {
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

// agentKilled finds the same in the status afterwards, and the pressure began when it
// did: an agent that starts doesn't forget, and has nothing to say that is new.
func agentKilled(t *testing.T, c cluster) {
	pod, err := c.agentPod(t, "a")
	if err != nil {
		t.Fatal(err)
	}
	count := restarts(pod)
	before, err := c.pressure(t, "a")
	if err != nil || before.Status.LastPressure == nil {
		t.Fatalf("lastPressure is %+v (%v)", before.Status.LastPressure, err)
	}
	_, first, said := c.critical(t)
	c.signal(t, "a", agentProgram, syscall.SIGKILL)
	within(t, time.Minute, "a new agent sees the same", func() error {
		if pod, err = c.agentPod(t, "a"); err != nil {
			return err
		}
		if n := restarts(pod); n != count+1 {
			return fmt.Errorf("%d restarts, %d before", n, count)
		}
		return c.metricsSay(t, pod, v1alpha1.LevelCritical)
	})
	since := before.Status.LastPressure.From
	c.becomes(t, "a", "the status says the same", func(s v1alpha1.PortPressureStatus) bool {
		return outOfPorts(s) && s.LastPressure != nil && s.LastPressure.From.Equal(&since)
	})
	const named = 30 * time.Minute // in which an Event keeps its name
	sameName := first.Truncate(named).Equal(time.Now().Truncate(named))
	if names, _, now := c.critical(t); now != said && sameName {
		t.Errorf("the new agent said it again: %d times before, now %d (%v)", said, now, names)
	}
}

// silent reads the label that the controller gives.
func (c cluster) silent(t *testing.T, node string, want bool) error {
	t.Helper()
	pp, err := c.pressure(t, node)
	if got := pp.Labels["portreeve.io/agent"]; err == nil && (got == "silent") != want {
		err = fmt.Errorf("label portreeve.io/agent is %q", got)
	}
	return err
}

func agentHangs(t *testing.T, c cluster) {
	t.Cleanup(func() {
		for _, pid := range c.processes(t, "b", agentProgram) {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	})
	c.signal(t, "b", agentProgram, syscall.SIGSTOP)
	within(t, 2*time.Minute, "the agent is called silent", func() error { return c.silent(t, "b", true) })
	c.signal(t, "b", agentProgram, syscall.SIGCONT)
	within(t, 2*time.Minute, "it is back", func() error { return c.silent(t, "b", false) })
}
