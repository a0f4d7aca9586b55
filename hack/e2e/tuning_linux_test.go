package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// The ranges of the carts: the kernel's default, a small one that is set in cart-a by hand,
// the NodeTuning's, and one that is too narrow.
const (
	kernelRange = "32768 60999"
	smallRange  = "40000 40999"
	wideRange   = "16384 65535"
	narrowRange = "50000 50999"
)

const cartPool = "shop/cart-a → 10.96.0.50:5432"

// cartName returns the name of a node's client of the database.
func cartName(node string) string { return "cart-" + node }

func enableTuning(t *testing.T, c cluster) {
	t.Log(c.runProgram(t, "", "helm", "upgrade", "portreeve", c.chartPath(),
		"--namespace", system, "--reuse-values", "--set", "agent.mode=pods", "--wait", "--timeout", "2m"))
	// helm waits for all pods except maxUnavailable, which is one.
	c.runKubectl(t, "rollout", "status", "--namespace", system, "daemonset/portreeve-agent", "--timeout=2m")
	pod, err := c.getAgentPod(t, "a")
	if err != nil {
		t.Fatal(err)
	}
	if s := pod.Spec; !s.HostNetwork || s.HostPID || s.HostIPC {
		t.Errorf("host namespaces: network %t, PID %t, IPC %t", s.HostNetwork, s.HostPID, s.HostIPC)
	}
	status := readProcessStatus(t, c.processesOnNode(t, "a", agentProgram))
	for field, want := range map[string]string{
		"Uid":        "0\t0\t0\t0",
		"CapBnd":     "0000000000200000", // CAP_SYS_ADMIN (21), which includes CAP_PERFMON and CAP_BPF
		"NoNewPrivs": "1",
		"Seccomp":    "2",
	} {
		if status[field] != want {
			t.Errorf("%s of the agent is %q, want %q", field, status[field], want)
		}
	}
}

// widenPodRange tunes a running pod, and one that uses its node's network and ports, without
// restarting them.
func widenPodRange(t *testing.T, c cluster) {
	c.nodeNetwork(t, "c").writeSysctl(t, portRange, smallRange)
	c.applyFile(t, "carts.yaml")
	c.runKubectl(t, "wait", "--namespace", "shop", "--for=condition=Ready", "--timeout=60s", "pod", "--selector", "app=cart")
	c.podNetwork(t, "cart-a").writeSysctl(t, portRange, smallRange)
	c.waitForStatus(t, "a", "shop/cart-a is out of ports", func(s v1alpha1.PortPressureStatus) bool {
		return s.Level == v1alpha1.LevelCritical && s.Tightest != nil && s.Tightest.Summary == cartPool
	})
	edge, err := c.getContainerStatus(t, "edge", "app")
	if err != nil {
		t.Fatal(err)
	}
	c.waitForStatus(t, "c", "node c is out of ports because of shop/edge", func(s v1alpha1.PortPressureStatus) bool {
		return s.Level == v1alpha1.LevelCritical && s.Cause == v1alpha1.CauseNarrowRange && s.Tightest != nil && s.Tightest.Network == "Host" &&
			s.Tightest.Holder != nil && s.Tightest.Holder.Container != "" && strings.Contains(edge.ContainerID, s.Tightest.Holder.Container)
	})
	c.applyFile(t, "carts-tuning.yaml")
	waitFor(t, 30*time.Second, "shop/cart-a has the wide range", func() error { return c.podNetwork(t, "cart-a").checkSysctl(t, portRange, wideRange) })
	for _, node := range []string{"a", "c"} {
		c.waitForStatus(t, node, "node "+node+" is healthy", func(s v1alpha1.PortPressureStatus) bool {
			return s.Level == v1alpha1.LevelNormal
		})
	}
	c.waitForPhase(t, "carts", 2*time.Minute, v1alpha1.RolloutComplete)
	t.Log("\n" + c.runKubectl(t, "get", "nodetunings,portpressures"))
	for _, node := range nodes {
		if err := errors.Join(c.podNetwork(t, cartName(node)).checkSysctl(t, portRange, wideRange), c.nodeNetwork(t, node).checkSysctl(t, portRange, wideRange)); err != nil {
			t.Errorf("node %s: %v", node, err)
		}
		if reserved := c.nodeNetwork(t, node).readSysctl(t, reservedPorts); !strings.Contains(reserved, "30000-32767") {
			t.Errorf("NodePorts in the range of node %s are not reserved: %q", node, reserved)
		}
	}
	if reserved := c.nodeNetwork(t, "c").readSysctl(t, reservedPorts); !strings.Contains(reserved, "20600") {
		t.Errorf("the port of shop/edge in the range of node c is not reserved: %q", reserved)
	}
	pp, err := c.getPortPressure(t, "c")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range pp.Status.Settings {
		if s.Scope == string(v1alpha1.ScopePods) && (s.PodsApplied == nil || *s.PodsApplied != 1) {
			t.Errorf("%s is applied to %v pods of node c, want 1: shop/edge uses the node's network", s.Key, s.PodsApplied)
		}
	}
	c.runKubectl(t, "delete", "--namespace", "shop", "pod", "edge", "--wait")
}

func (c cluster) getNodeTuning(t *testing.T, name string) (nt v1alpha1.NodeTuning, err error) {
	t.Helper()
	err = c.api.getObject(t, "/apis/portreeve.io/v1alpha1/nodetunings/"+name, &nt)
	return nt, err
}

// waitForPhase waits until a NodeTuning's rollout is in a phase.
func (c cluster) waitForPhase(t *testing.T, name string, limit time.Duration, want v1alpha1.RolloutPhase) (nt v1alpha1.NodeTuning) {
	t.Helper()
	waitFor(t, limit, "the rollout is "+string(want), func() (err error) {
		nt, err = c.getNodeTuning(t, name)
		if err == nil && (nt.Status.ObservedGeneration != nt.Generation || nt.Status.Rollout.Phase != want) {
			text, _ := json.Marshal(nt.Status)
			err = fmt.Errorf("generation %d: %s", nt.Generation, text)
		}
		return err
	})
	return nt
}

// checkDriftIsRepaired changes the range of a node and of a pod. The node's is restored at
// the next tick, the pod's within a minute, which checkPodDriftIsRepaired waits for.
func checkDriftIsRepaired(t *testing.T, c cluster) {
	host := c.nodeNetwork(t, "b")
	host.writeSysctl(t, portRange, kernelRange)
	c.podNetwork(t, "cart-c").writeSysctl(t, portRange, kernelRange)
	waitFor(t, 30*time.Second, "the node's range is restored", func() error { return host.checkSysctl(t, portRange, wideRange) })
}

func checkPodDriftIsRepaired(t *testing.T, c cluster) {
	waitFor(t, 90*time.Second, "the pod's range is restored", func() error { return c.podNetwork(t, "cart-c").checkSysctl(t, portRange, wideRange) })
}

func restartAgent(t *testing.T, c cluster) {
	pod, err := c.getAgentPod(t, "b")
	if err != nil {
		t.Fatal(err)
	}
	count := countRestarts(pod)
	c.signalProcess(t, "b", agentProgram, syscall.SIGTERM)
	waitFor(t, time.Minute, "a new agent runs", func() error {
		if pod, err = c.getAgentPod(t, "b"); err == nil && countRestarts(pod) != count+1 {
			err = fmt.Errorf("%d restarts, %d before", countRestarts(pod), count)
		}
		return errors.Join(err, c.nodeNetwork(t, "b").checkSysctl(t, portRange, wideRange), c.podNetwork(t, "cart-b").checkSysctl(t, portRange, wideRange))
	})
	c.waitForStatus(t, "b", "it has applied all settings", areAllApplied)
}

// checkRegressionIsCaught sets a range of 1,000 ports, with which a cart runs out of ports.
// Only the canary may get it.
func checkRegressionIsCaught(t *testing.T, c cluster) {
	c.runKubectl(t, "patch", "nodetuning", "carts", "--type=merge", "--patch",
		`{"spec": {"linux": {"ephemeralPorts": {"first": 50000, "last": 50999}}, "rollout": {"soakSeconds": 120}}}`)
	nt := c.waitForPhase(t, "carts", 2*time.Minute, v1alpha1.RolloutPaused)
	t.Log(nt.Status.Rollout.Reason)
	if got := nt.Status.Rollout.Canaries; len(got) != 1 || nt.Status.Rollout.Updated != 1 || !strings.HasPrefix(nt.Status.Rollout.Reason, "regression: ") {
		t.Fatalf("%+v, want one canary and a regression", nt.Status.Rollout)
	}
	for _, node := range nodes {
		want := wideRange
		if node == nt.Status.Rollout.Canaries[0] {
			want = narrowRange
		}
		if err := errors.Join(c.podNetwork(t, cartName(node)).checkSysctl(t, portRange, want), c.nodeNetwork(t, node).checkSysctl(t, portRange, want)); err != nil {
			t.Errorf("node %s: %v", node, err)
		}
	}
}

// listSilentNodes returns the nodes whose agents the controller labels silent or missing.
func (c cluster) listSilentNodes(t *testing.T) (list []string) {
	t.Helper()
	for _, node := range nodes {
		pp, err := c.getPortPressure(t, node)
		if err != nil {
			t.Fatal(err)
		}
		if agent := pp.Labels[v1alpha1.LabelAgent]; agent == v1alpha1.AgentSilent || agent == v1alpha1.AgentNone {
			list = append(list, node)
		}
	}
	return list
}

func checkOriginalsAreRestored(t *testing.T, c cluster) {
	c.runKubectl(t, "delete", "nodetuning", "carts", "--timeout=90s")
	silent := c.listSilentNodes(t) // deletion does not wait for them; agents may be silent for some time after an API outage
	for _, node := range nodes {
		host, cart := kernelRange, kernelRange
		switch node {
		case "a":
			cart = smallRange
		case "c":
			host = smallRange
		}
		for _, n := range []struct {
			network
			name, want string
		}{{c.nodeNetwork(t, node), "node " + node, host}, {c.podNetwork(t, cartName(node)), cartName(node), cart}} {
			restored := func() error {
				return errors.Join(n.checkSysctl(t, portRange, n.want), n.checkSysctl(t, reservedPorts, ""))
			}
			if slices.Contains(silent, node) {
				waitFor(t, 2*time.Minute, n.name+", silent when it was deleted, has its originals", restored)
			} else if err := restored(); err != nil {
				t.Errorf("%s: %v", n.name, err)
			}
		}
	}
	c.runKubectl(t, "delete", "--namespace", "shop", "pod", "--selector", "app=cart", "--wait")
}
